"""Threads of the numeric libraries and Python's random numbers, fixed for every stage: results depend on both."""

import os
import random
import sys

from tasks.params.pipeline import Params
from tasks.params.trainings import training_of, training_of_teacher


def teacher_of_stage(command: str, name: str) -> str | None:
    """The teacher that a stage trains or adopts; None for any other stage. name: as the stage is invoked with it."""
    return {"teacher": "teacher", "adopt_teacher": name}.get(command)


def threads_of_stage(params: Params, command: str, name: str) -> int:
    """Weights differ in their last bits with the number of threads, so params fix it for every stage."""
    teacher = teacher_of_stage(command, name)
    how = None if teacher is None else training_of_teacher(params, teacher)
    if how is not None:
        return how.training.threads
    if command in ("propagate", "distil"):
        return training_of(params, name).threads
    return params.evaluation.threads


def fix_threads(threads: int) -> None:
    """Fix the threads of all numeric libraries, before any is loaded, and Python's own random numbers."""
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    random.seed(0)
