"""A training that torchrun starts as several processes: the first reports and writes, the others only compute along."""

import os
from pathlib import Path

from tasks.params.pipeline import Params, TrainedTeacher
from tasks.runner.reporter import NullReporter


def is_first_process() -> bool:
    """Whether this process is the only one, or the one that speaks for all."""
    return os.environ.get("RANK", "0") == "0"


def divides_work(command: str, params: Params) -> bool:
    """Whether a stage shares its work among processes; any other is done by the first alone."""
    return command == "distil" or (command == "teacher" and isinstance(params.teacher, TrainedTeacher))


class Along(NullReporter):
    """Reporter of the other processes: they go on from where the first one does, and say nothing."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
