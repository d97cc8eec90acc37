"""A training that torchrun starts as several processes: the first reports and writes, the others only compute along."""

import os
from pathlib import Path

from tasks.params.pipeline import Params
from tasks.params.trainings import training_of_teacher
from tasks.runner.reporter import NullReporter
from tasks.runner.threads import teacher_of_stage


def is_first_process() -> bool:
    """Whether this process is the only one, or the one that speaks for all."""
    return os.environ.get("RANK", "0") == "0"


def divides_work(command: str, params: Params, name: str) -> bool:
    """Whether a stage shares its work among processes, as a training does; any other is done by the first alone."""
    teacher = teacher_of_stage(command, name)
    return command == "distil" if teacher is None else training_of_teacher(params, teacher) is not None


class FollowingProcessReporter(NullReporter):
    """Reporter of the other processes: they go on from where the first one does, and say nothing."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
