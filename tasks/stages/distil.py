"""Stage `distil NAME`: train a student's first weights on labels, on its teacher, or on both."""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from accelerate import Accelerator
from torch import Tensor

from kd.audio.frontend import LogMel
from kd.models import Recogniser
from kd.propagation.scheduled import fit_and_shrink, restored
from kd.teachers.codec import Codec
from kd.training import Epoch, fit
from tasks.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tasks.data.prepared import PreparedData, Utterance
from tasks.data.select_utterances import labelled, select_utterances, teachable
from tasks.onnx.budgets import cost_for
from tasks.params.pipeline import Params, Recipe
from tasks.runner.atomic_io import write_whole
from tasks.runner.paths import Paths
from tasks.runner.reporter import NullReporter, Reporter
from tasks.teachers.filtered_labels import Labels, choose_labels, write_labels
from tasks.teachers.frame_teacher import load_frame_teacher
from tasks.teachers.logit_cache import LogitCache
from tasks.teachers.logits import open_stored
from tasks.teachers.pseudo_label_table import has_pseudo_labels, read_pseudo_labels
from tasks.teachers.teacher_pass import views
from tasks.teachers.teacher_states import LiveStates
from tasks.training.batches import TeacherOutputs
from tasks.training.calibration import calibrator
from tasks.training.history import best_metrics, write_history
from tasks.training.hypothesis_table import HypothesisTable
from tasks.training.train import Run, Trained, train


def run(params: Params, paths: Paths, name: str = "", reporter: Reporter = NullReporter()) -> dict[str, float]:
    """Writes models/NAME/ and an empty outputs/NAME/; returns the metrics of its best epoch."""
    recipe = params.students[name]
    data = PreparedData.load(paths.prepared, sample_rate_hz=params.frontend.sample_rate_hz)
    initial = load_checkpoint(paths.initial(name))
    frontend = LogMel(params.frontend)
    by_text = recipe.teacher != "none" and has_pseudo_labels(paths.model(recipe.teacher))
    by_outputs = recipe.teacher != "none" and not by_text
    utterances = select_utterances(data, recipe.supervision)
    labels = _labels(recipe, paths, data, utterances, initial.model, frontend) if by_text else None
    masks = {key: mask.bool() for key, mask in initial.masks.items()}
    trained = train(
        Run(
            initial.model,
            frontend,
            data,
            recipe.objective,
            params.training_of(name),
            params.student_augment,
            _teacher(params, paths, name, data, initial.model, reporter) if by_outputs else None,
            masks,
            None if labels is None else HypothesisTable(labels.rows),
            teachable(
                utterances,
                by_labels=recipe.objective.label_weight > 0,
                by_outputs=by_outputs,
                by_text=() if labels is None else labels.rows,
            ),
            paths.features,
            _loop(params, name, data, frontend),
        ),
        reporter,
    )
    if trained.writes:
        _write(params, paths, name, initial, trained)
        if labels is not None:
            write_labels(paths.model(name), labels)
    return {**best_metrics(trained.history), **({} if labels is None else labels.metrics())}


def _write(params: Params, paths: Paths, name: str, initial: Checkpoint, trained: Trained) -> None:
    """The student, its history, what it kept of its source while it shrank, and room for its own outputs."""
    recipe, folder = params.students[name], paths.model(name)
    shrunk = None if recipe.shrink is None else restored(trained.model, trained.state)
    student = Checkpoint(
        trained.model,
        params.frontend,
        initial.vocabulary,
        role=role(recipe),
        init=recipe.init,
        objective=recipe.objective.describe(),
        lineage=(*initial.lineage, *(() if shrunk is None else shrunk.lineage)),
        masks=initial.masks if shrunk is None else dict(shrunk.masks),
        facts=initial.facts,
    )
    save_checkpoint(folder, student)
    write_history(folder, trained.history)
    LogitCache.begin(paths.outputs(name), Codec.of(len(initial.vocabulary), params.logit_cache.top_k))
    if shrunk is not None:
        kept = [*json.loads((paths.initial(name) / "kept.json").read_text(encoding="utf-8")), *shrunk.kept]
        write_whole(folder / "kept.json", json.dumps(kept, indent=1))


def _loop(params: Params, name: str, data: PreparedData, frontend: LogMel) -> Callable[..., Iterator[Epoch]]:
    """The training loop, and around it what makes the student smaller on its way."""
    recipe = params.students[name]
    if recipe.shrink is None:
        return fit

    def utterances() -> Sequence[Utterance]:
        return labelled(select_utterances(data, recipe.supervision), f"students.{name}")

    calibrate = calibrator(data, utterances, frontend, params.training_of(name).batch_seconds)
    costs = partial(cost_for, params.frontend, data)
    return partial(fit_and_shrink, shrink=recipe.shrink, calibrate=calibrate, costs=costs)


def _labels(
    recipe: Recipe,
    paths: Paths,
    data: PreparedData,
    utterances: Sequence[Utterance],
    student: Recogniser,
    frontend: LogMel,
) -> Labels:
    """What a teacher that gives text says of these utterances, filtered."""

    def frames(num_samples_B: Tensor) -> Tensor:
        return student.output_lengths(frontend.output_lengths(num_samples_B))

    return choose_labels(data, utterances, read_pseudo_labels(paths.model(recipe.teacher)), recipe.filter, frames)


def _teacher(
    params: Params, paths: Paths, name: str, data: PreparedData, student: Recogniser, reporter: Reporter
) -> Callable[[Accelerator], TeacherOutputs]:
    """Opens the stored outputs of a student's teacher; the first process computes those that are missing.

    Where the objective reads inner states, the teacher runs beside the student, and nothing is stored.
    """
    source, objective = params.students[name].teacher, params.students[name].objective
    teacher = load_frame_teacher(paths, source)
    codec = Codec.of(len(data.vocabulary), params.logit_cache.top_k)

    def outputs(accelerator: Accelerator) -> TeacherOutputs:
        if objective.reads_states:
            return LiveStates(teacher.to(accelerator.device), objective, student.settings.encoder)
        with accelerator.main_process_first():
            there = teacher.to(accelerator.device)
            return open_stored(paths.outputs(source), codec, there, data, views(params.student_augment), reporter)

    return outputs


def role(recipe: Recipe) -> str:
    """`baseline` is the same kind of student that no teacher ever touched: random weights, labels only."""
    return "baseline" if recipe.is_baseline else "student"
