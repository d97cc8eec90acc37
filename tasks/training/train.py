"""One training run with its files: resume state, history, progress. Teacher and students share it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from pickle import UnpicklingError
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import BadZipFile

import torch
from accelerate import Accelerator
from torch import Tensor

from kd.audio.frontend import FrontEnd
from kd.config.frontend import AugmentSettings
from kd.config.losses import ObjectiveSettings
from kd.config.models import ModelSettings
from kd.config.training import TrainingSettings
from kd.models import Recogniser, build
from kd.training import Batches, Epoch, Objective, TrainingTask, fit
from tasks.data.prepared import Batch, PreparedData, Utterance
from tasks.metric_names import ERROR_KINDS, named_errors
from tasks.runner.atomic_io import put_aside, whole_file
from tasks.runner.reporter import Reporter
from tasks.training.batch_teacher import NO_TEACHER, BatchTeacher
from tasks.training.batches import Share, TrainingInputs
from tasks.training.feature_cache import FeatureCache, copies_of
from tasks.training.validation import Validation

RESUME_FILE = "resume.pt"


@dataclass(frozen=True, kw_only=True)
class Run:
    """What is trained, on what, and how.

    utterances: what it is trained on. teacher: makes its teacher ready to be asked; None: it has none.
    features: a folder in which trainings share the features of perturbed copies; None: each computes its own.
    fit: the loop, or one of its signature around it.
    """

    model: Recogniser
    frontend: FrontEnd
    data: PreparedData
    objective: ObjectiveSettings
    settings: TrainingSettings
    augment: AugmentSettings
    utterances: Sequence[Utterance]
    teacher: Callable[[Accelerator], BatchTeacher] | None = None
    masks: Mapping[str, Tensor] | None = None
    features: Path | None = None
    fit: Callable[..., Iterator[Epoch]] = fit


@dataclass(frozen=True)
class Trained:
    """The best epoch's model, every epoch's metrics, whether this process should write files, and the last state."""

    model: Recogniser
    history: list[dict[str, float]]
    writes: bool
    state: Mapping[str, Any]


def train(run: Run, reporter: Reporter) -> Trained:
    """Train, keeping a resume state in `reporter.scratch` after each epoch; a killed run goes on from there.

    Under `accelerate launch`, or `torchrun` where processes are to share CPUs, each takes its part of every batch.
    """
    accelerator = make_accelerator(run.settings)
    model = run.model.to(accelerator.device)
    frontend = run.frontend.to(accelerator.device)
    resumed = _load_resume(reporter.scratch)
    history: list[dict[str, float]] = list(resumed["history"]) if resumed else []
    state: Mapping[str, Any] = resumed["state"] if resumed else {}
    epochs, left = _epochs(run, model, frontend, accelerator, state or None, len(history), reporter)
    for epoch in reporter.progress(epochs, left, "epochs"):
        history.append({"epoch": float(epoch.index), **epoch.metrics})
        state = epoch.state
        reporter.metrics(named_errors(epoch.metrics, ERROR_KINDS[model.settings.problem]), epoch.index)
        if accelerator.is_main_process:
            _save_resume(reporter.scratch, {"state": epoch.state, "history": history})
    if model.settings != (shape := ModelSettings.model_validate(state["shape"])):
        model = build(shape)
    model.load_state_dict(state["best_weights"])
    return Trained(model.cpu().eval(), history, accelerator.is_main_process, state)


def _epochs(
    run: Run,
    model: Recogniser,
    frontend: FrontEnd,
    accelerator: Accelerator,
    state: Mapping[str, Any] | None,
    done: int,
    reporter: Reporter,
) -> tuple[Iterator[Epoch], int]:
    """The epochs that are still to come after those that are done, and how many at most."""
    if state is not None and state["finished"]:
        reporter.say(f"training had ended after epoch {done} when the last run stopped")
        return iter(()), 0
    task = _task(run, model, frontend, accelerator, reporter)
    total = task.length.epochs
    if state is not None:
        reporter.say(f"going on after epoch {done} of {total}, where the last run stopped")
    return run.fit(model, task, masks=run.masks, resume=state), total - done


def _task(
    run: Run, model: Recogniser, frontend: FrontEnd, accelerator: Accelerator, reporter: Reporter
) -> TrainingTask:
    device = accelerator.device
    teacher = NO_TEACHER if run.teacher is None else run.teacher(accelerator)
    inputs = TrainingInputs(
        run.data,
        run.utterances,
        frontend,
        run.augment,
        batch_seconds=run.settings.batch_seconds,
        seed=run.settings.seed,
        device=device,
        teacher=teacher,
        two_views=run.objective.two_views,
        share=Share(accelerator.process_index, accelerator.num_processes),
        output_lengths=model.output_lengths,
    )
    inputs.cache = _feature_cache(run, inputs, accelerator, reporter)
    hours = sum(u.num_samples for u in run.utterances) / run.data.sample_rate_hz / 3600
    return TrainingTask(
        Objective(run.objective, model.settings.problem),
        Batches(inputs.epoch, inputs.per_epoch, run.frontend.settings.frame_shift_ms),
        Validation(run.data, "valid", frontend, batch_seconds=run.settings.batch_seconds, device=device),
        run.settings.lasting(hours),
        accelerator,
        teacher.encoder,
    )


def _feature_cache(
    run: Run, inputs: TrainingInputs, accelerator: Accelerator, reporter: Reporter
) -> FeatureCache | None:
    """Features of perturbed copies (docs/adr/0003), shared by all trainings on them; the first process writes them."""
    copies, num_mels = copies_of(run.augment), run.frontend.settings.num_mels
    if copies == 0:
        return None

    def source(copy: int) -> Iterator[tuple[Batch, Sequence[Fraction], Tensor, Tensor]]:
        return reporter.progress(
            inputs.copy(copy), inputs.batches_of_a_copy, f"features of copy {copy + 1} of {copies}"
        )

    if run.features is None:
        with TemporaryDirectory(prefix="features-") as folder:  # a mapped file outlives its name
            return FeatureCache.build(Path(folder) / "features", source, copies, num_mels)
    with accelerator.main_process_first():
        return FeatureCache.shared(run.features, inputs.key, source, copies, num_mels)


def make_accelerator(settings: TrainingSettings) -> Accelerator:
    """Device, mixed precision and processes, as settings and launcher ask for.

    On the CPU a run repeats to the bit; on CUDA only as far as torch has deterministic kernels, and it warns elsewhere.
    """
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("training.device is cuda, but torch finds no GPU here: set device: auto or cpu")
    if settings.precision == "fp16" and not torch.cuda.is_available():
        raise ValueError("training.precision is fp16, but torch finds no GPU here: set precision: bf16 or no")
    torch.set_num_threads(settings.threads)
    accelerator = Accelerator(cpu=settings.device == "cpu", mixed_precision=settings.precision)
    if accelerator.device.type == "cuda":
        torch.use_deterministic_algorithms(True, warn_only=True)  # CTC's gradient has no deterministic kernel there
    return accelerator


def _load_resume(scratch: Path | None) -> dict[str, Any] | None:
    if scratch is None or not (scratch / RESUME_FILE).is_file():
        return None
    file = scratch / RESUME_FILE
    try:
        state = torch.load(file, weights_only=True, map_location="cpu")
    except (RuntimeError, ValueError, EOFError, OSError, UnpicklingError, KeyError, BadZipFile) as error:
        put_aside(file, str(error) or type(error).__name__)
        return None
    if not isinstance(state, dict):
        put_aside(file, f"it holds a {type(state).__name__}, and no state of a training")
        return None
    return state


def _save_resume(scratch: Path | None, state: dict[str, Any]) -> None:
    """Whole or not at all."""
    if scratch is None:
        return
    scratch.mkdir(parents=True, exist_ok=True)
    with whole_file(scratch / RESUME_FILE) as beside:
        torch.save(state, beside)
