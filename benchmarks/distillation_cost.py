"""What a teacher costs: an epoch of distilling over an epoch of the same student from labels alone.

    python benchmarks/distillation_cost.py       some ten minutes on a machine that does nothing else

Two jobs on a small part of the default corpus, made on the spot, one thread, untrained networks of the default sizes.
Transcription (CTC and soft targets), without and with a change of speed; without it also by other losses from the same
cached logits and, below a line, by CR-CTC, which has no teacher but sees two views of each batch. An untrained
teacher says no blanks, so blank_selected takes all frames here. And keywords (cross-entropy and soft targets) side by
side with torchdistill, which knows no CTC: its losses take one label for each row of logits. There both get the same
networks, weights, features, batches and epochs, and the first epoch's losses must agree. torchdistill 1.1.4 is the last
version with a cache; it is installed into an environment of its own, which sees the packages of this one too. A live
teacher of ours is given the waveform, as any teacher can; theirs is given the stored features.

Epochs of all ways are interleaved in turning order; ratios are medians over rounds, with quartiles. With `--csv` every
epoch is written down, so that they can be had again.
"""

import argparse
import csv
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that it runs from a checkout, by its path alone
sys.path.insert(1, str(Path(__file__).parents[1] / "tests" / "support"))

import torch
import yaml
from plain_sources import LiveOutputs
from rich.console import Console
from rich.table import Table
from torchdistill_side import ENVIRONMENT, Side

from kd.audio.frontend import make_front_end
from kd.config.frontend import AugmentSettings
from kd.config.losses import ObjectiveSettings
from kd.config.models import EncoderSettings
from kd.config.training import Constant, TrainingSettings
from kd.models import Recogniser, build
from kd.teachers.codec import Codec
from kd.training import Batches, Objective, TrainingTask, fit
from tasks.checkpoint import Checkpoint, save_checkpoint
from tasks.data.prepared import PreparedData
from tasks.params.load import parse_params
from tasks.params.pipeline import Params
from tasks.runner.paths import Paths
from tasks.runner.reporter import NullReporter
from tasks.stages import corpus, preprocess
from tasks.teachers.logit_cache import LogitCache
from tasks.teachers.logits import StoredOutputs
from tasks.teachers.posterior_teacher import CheckpointPosteriorTeacher
from tasks.teachers.teacher_pass import fill, views
from tasks.training.batch_teacher import BatchTeacher, PosteriorSource
from tasks.training.batches import TrainingInputs
from tasks.training.feature_cache import FeatureCache, copies_of
from tasks.training.new_model import new_model
from tasks.training.train import make_accelerator

REPO = Path(__file__).parents[1]

Found = dict[str, list[tuple[float, float]]]
"""(seconds, loss) of each epoch of each way, the first of them as a warm-up."""
EPOCH = Callable[[], tuple[float, float]]
"""Runs one more epoch; gives its seconds and its mean loss."""

KEYWORDS = [
    "turn on",
    "turn off",
    "open",
    "close",
    "dim",
    "start",
    "stop",
    "light",
    "lamp",
    "heater",
    "radio",
    "window",
]
SPEEDS = (0.9, 1.0, 1.1)
MATCHES: tuple[dict[str, Any], ...] = (
    {"name": "blank_selected", "temperature": 1.0},
    {"name": "shift_tolerant", "temperature": 1.0, "max_delay": 2},
    {"name": "guided_ctc"},
)
"""Further ways to learn from the same stored frames."""
TWO_VIEWS = "cr_ctc, two views, no teacher"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=480, help="training utterances of each job")
    parser.add_argument("--rounds", type=int, default=9, help="epochs timed in each way, after one that is not")
    parser.add_argument("--without-torchdistill", action="store_true")
    parser.add_argument("--environment", type=Path, default=ENVIRONMENT, help="where to install it")
    parser.add_argument("--csv", type=Path, help="write every epoch of every way there; round 0 is the warm-up")
    options = parser.parse_args()
    console, found = Console(width=120), dict[str, Found]()
    with tempfile.TemporaryDirectory() as folder:
        job = make_job(Path(folder) / "transcription", "transcription", options.utterances)
        for speeds in ((), SPEEDS):
            augment = job.params.student_augment.model_copy(update={"speeds": speeds})
            ways, facts = ways_of(job, augment, "speeds" if speeds else "clean", () if speeds else MATCHES)
            if not speeds:
                cr_ctc = ObjectiveSettings.model_validate({"self_distillation": [{"name": "cr_ctc"}]})
                ways[TWO_VIEWS] = epochs(job, augment, cr_ctc)
            name = f"transcription, masks{', speeds ' + str(list(speeds)) if speeds else ''}"
            found[name] = interleaved(ways, options.rounds)
            console.print(table(f"{name}: {facts}", found[name]))
        if not options.without_torchdistill:
            name = "keywords, no augmentation"
            found[name], facts = keywords(Path(folder) / "keyword", options)
            console.print(table(f"{name}: {facts}", found[name]))
    if options.csv:
        write_rows(options.csv, found)


@dataclass(frozen=True)
class Job:
    """One problem's data and networks."""

    folder: Path
    params: Params
    data: PreparedData
    teacher: Checkpoint
    student: Checkpoint


def make_job(folder: Path, problem: str, utterances: int) -> Job:
    """Prepared data and untrained networks; keywords are spoken alone."""
    params = make_params(problem, utterances)
    paths = Paths(folder)
    corpus.run(params, paths)
    preprocess.run(params, paths)
    data = PreparedData.load(paths.prepared)
    assert params.teacher.source == "train"
    recipe = params.students["distilled"]
    assert recipe.model is not None
    networks = [untrained(params, data, encoder) for encoder in (params.teacher.model, recipe.model)]
    return Job(folder, params, data, *networks)


def make_params(problem: str, utterances: int) -> Params:
    """The project's own, with fewer utterances; for keywords without dropout, so that losses can be compared."""
    values: dict[str, Any] = yaml.safe_load((REPO / "params.yaml").read_text(encoding="utf-8"))
    values["corpus"] |= {"root": str(REPO / "corpora"), "utterances": {"train": utterances, "valid": 12, "test": 12}}
    distilled = values["students"]["distilled"]
    if problem == "keyword":
        values["problem"] = {"kind": "keyword"}
        values["preprocess"] |= {"max_quarantined_share": 1.0}  # a label that few training utterances leave out
        values["corpus"]["phrases"] = [{"kind": "grammar", "slots": [KEYWORDS]}]
        distilled["model"] |= {"dropout": 0.0}
        distilled["objective"] |= {"beta": 1.0}
    return parse_params({**values, "students": {"distilled": distilled}})


def untrained(params: Params, data: PreparedData, encoder: EncoderSettings) -> Checkpoint:
    torch.manual_seed(1)
    model = new_model(params, encoder, data, data.split("train"), make_front_end(params.frontend), 60.0).eval()
    return Checkpoint(model, params.frontend, data.vocabulary, role="teacher", init="random", objective="none")


def ways_of(
    job: Job, augment: AugmentSettings, name: str, matches: Sequence[dict[str, Any]] = ()
) -> tuple[dict[str, EPOCH], str]:
    """Epochs from labels alone, with stored and with live outputs, and by other matches; and what storing took."""
    utterances, teacher = job.data.split("train"), CheckpointPosteriorTeacher(job.teacher)
    store = LogitCache.begin(job.folder / name, Codec.of(len(job.data.vocabulary), job.params.logit_cache.top_k))
    started = time.perf_counter()
    fill(store, teacher, job.data, utterances, views(augment), NullReporter())
    pass_s = time.perf_counter() - started
    samples = sum(u.num_samples for u in utterances)
    seconds = samples / job.data.sample_rate_hz
    facts = (
        f"{len(utterances)} utterances, {seconds:.0f} s; the teacher's pass over {len(views(augment))} views took "
        f"{pass_s:.2f} s; {store.num_bytes / (2 * samples):.3f} bytes stored for each byte of 16-bit audio"
    )
    student_objective, stored = job.params.students["distilled"].objective, StoredOutputs(store, teacher.key)
    ways = {
        "labels alone": epochs(job, augment, ObjectiveSettings()),
        "stored teacher": epochs(job, augment, student_objective, stored),
        "live teacher": epochs(job, augment, student_objective, LiveOutputs(teacher)),
    }
    for match in matches:
        objective = ObjectiveSettings.model_validate({**student_objective.model_dump(), "distill": match})
        ways[f"stored teacher, {match['name']}"] = epochs(job, augment, objective, stored)
    return ways, facts


def epochs(
    job: Job, augment: AugmentSettings, objective: ObjectiveSettings, teacher: PosteriorSource | None = None
) -> EPOCH:
    """The project's own training loop and inputs, an epoch at a call, without validation."""
    student = copy_of(job.student.model)
    given = job.params.student_training.model_dump(exclude={"steps", "schedule"})
    changes = {"epochs": 10_000, "device": "cpu", "schedule": Constant(name="constant")}
    settings = TrainingSettings.model_validate({**given, **changes})
    utterances, front_end = job.data.split("train"), make_front_end(job.params.frontend)
    inputs = TrainingInputs(
        job.data, utterances, front_end, augment, batch_seconds=settings.batch_seconds, seed=settings.seed,
        device=torch.device("cpu"), teacher=BatchTeacher(teacher), two_views=objective.two_views,
        output_lengths=student.output_lengths,
    )  # fmt: skip
    if copies := copies_of(augment):
        folder, num_mels = job.folder / "features", front_end.settings.num_mels
        inputs.cache = FeatureCache.shared(folder, inputs.key, inputs.copy, copies, num_mels)
    running = fit(student, TrainingTask(
        Objective(objective, job.params.problem.kind), Batches(inputs.epoch, inputs.per_epoch),
        lambda model: {"valid_error": 0.0, "valid_loss": 0.0}, settings, make_accelerator(settings),
    ))  # fmt: skip

    def one() -> tuple[float, float]:
        started = time.perf_counter()
        epoch = next(running)
        return time.perf_counter() - started, epoch.metrics["train_loss"]

    return one


def copy_of(model: Recogniser) -> Recogniser:
    copy = build(model.settings)
    copy.load_state_dict(model.state_dict())
    return copy


def keywords(folder: Path, options: argparse.Namespace) -> tuple[Found, str]:
    """The keyword job in both tools, all ways interleaved; and what storing took."""
    job = make_job(folder, "keyword", options.utterances)
    off = {"time_masks": 0, "frequency_masks": 0, "speeds": (), "room_share": 0, "noise_share": 0, "telephone_share": 0}
    still = AugmentSettings.model_validate(off)
    ours, facts = ways_of(job, still, "clean")
    save_checkpoint(folder / "teacher", job.teacher)
    save_checkpoint(folder / "student", job.student)
    with Side(options.environment, folder, job.params.student_training) as side:
        theirs = {f"torchdistill: {way}": side.epochs(way) for way in ours}
        found = interleaved({**ours, **theirs}, options.rounds)
        stored = side.cache_bytes() / (2 * sum(u.num_samples for u in job.data.split("train")))
    for way in ours:
        first, other = found[way][0][1], found[f"torchdistill: {way}"][0][1]
        if abs(first - other) > 0.01 * first:
            raise RuntimeError(f"{way}: the first epoch's loss is {first:.4f} here and {other:.4f} in torchdistill")
    return found, f"{facts}; torchdistill's cache {stored:.2f} bytes"


def interleaved(ways: dict[str, EPOCH], rounds: int) -> Found:
    """One epoch of each way a round; each round begins with another way."""
    names = list(ways)
    found: Found = {name: [] for name in names}
    for turn in range(rounds + 1):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            found[name].append(ways[name]())
    return found


def write_rows(file: Path, found: dict[str, Found]) -> None:
    with file.open("w", newline="", encoding="utf-8") as out:
        rows = csv.writer(out, lineterminator="\n")
        rows.writerow(("job", "way", "round", "seconds", "loss"))
        for job, ways in found.items():
            for way, values in ways.items():
                rows.writerows((job, way, turn, *value) for turn, value in enumerate(values))


def table(title: str, found: Found) -> Table:
    """Medians and quartiles over rounds; ratios are to the same tool's labels alone, round by round."""
    shown = Table(title=title)
    for column in ("way", "seconds an epoch", "ratio to labels alone", "quartiles", "rounds"):
        shown.add_column(column, justify="left" if column == "way" else "right")
    for name, values in found.items():
        if name == TWO_VIEWS:
            shown.add_section()
        tool, colon, _ = name.rpartition(": ")
        seconds, base = ([s for s, _ in found[way][1:]] for way in (name, f"{tool}{colon}labels alone"))
        ratios = [a / b for a, b in zip(seconds, base, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        spread = f"{low:.3f} to {high:.3f}"
        shown.add_row(name, f"{statistics.median(seconds):.3f}", f"{middle:.3f}", spread, str(len(values) - 1))
    return shown


if __name__ == "__main__":
    main()
