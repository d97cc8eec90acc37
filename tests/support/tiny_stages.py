"""The three stages that train, on the tiny prepared data of `workspace`, with a watch that can be killed."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor
from workspace import ENCODERS, make_params

from tasks.checkpoint import load_checkpoint
from tasks.params.pipeline import Params
from tasks.runner.paths import Paths
from tasks.stages import distil, propagate, teacher

T = TypeVar("T")

TRAINING = {"epochs": 4, "batch_seconds": 2.5, "device": "cpu", "optimiser": {"name": "adam", "lr": 0.01}}
LEARNS = {"label_weight": 1.0, "beta": 0.5}


class Killed(BaseException):
    """As SIGTERM's in the harness: nothing below catches it."""


class KillingReporter:
    """Keeps what it is told, and raises at an epoch, before its state is saved, as `kill` would."""

    def __init__(self, scratch: Path | None = None, kill_at: int | None = None) -> None:
        self.scratch, self.kill_at = scratch, kill_at
        self.curves: dict[int, dict[str, float]] = {}
        self.said: list[str] = []

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        if step == self.kill_at:
            raise Killed
        self.curves[step] = dict(values)

    def progress(self, items: Iterable[T], total: int | None = None, label: str = "") -> Iterator[T]:
        yield from items

    def say(self, message: str) -> None:
        self.said.append(message)


def stage_params(problem: str, **changes: Any) -> Params:
    """Params of a teacher and four students: from labels, taught, sliced, and pruned after slicing."""
    small = {"init": "random", "model": ENCODERS["baseline"]}
    cut = {"op": "slice", "keep": {"width": 12, "hidden": 0.5, "layers": 1}}
    thin = {"op": "prune_weights", "sparsity": 0.5, "importance": {"by": "taylor", "batches": 2}}
    students = {
        "baseline": {**small, "teacher": "none"},
        "distilled": {**small, "teacher": "teacher", "objective": LEARNS},
        "sliced": {"init": "teacher", "operators": [cut], "teacher": "teacher", "objective": LEARNS},
        "pruned": {
            "init": "sliced",
            "operators": [thin],
            "teacher": "teacher",
            "objective": {"label_weight": 0, "beta": 1},
        },
    }
    trained = {"source": "train", "model": ENCODERS["teacher"], "training": TRAINING}
    values = {"teacher": trained, "students": students, "student_training": TRAINING, **changes}
    return make_params(problem, **values)


def run_student(params: Params, paths: Paths, name: str) -> None:
    propagate.run(params, paths, name)
    distil.run(params, paths, name)


def run_teacher(params: Params, paths: Paths) -> None:
    teacher.run(params, paths)


def weights(folder: Path) -> dict[str, Tensor]:
    return load_checkpoint(folder).model.state_dict()


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(t, b[k]) for k, t in a.items())
