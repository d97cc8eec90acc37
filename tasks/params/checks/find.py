"""All checks that need no file but params.yaml."""

from collections.abc import Iterator

from tasks.params.checks.models import model_problems
from tasks.params.checks.objectives import objective_problems
from tasks.params.checks.operators import operator_problems
from tasks.params.checks.problem_kind import kind_problems
from tasks.params.checks.references import reference_problems
from tasks.params.checks.shrinking import shrink_problems
from tasks.params.checks.teacher_frames import frame_problems
from tasks.params.checks.teacher_states import state_problems
from tasks.params.checks.teachers import teacher_problems
from tasks.params.pipeline import Params


def find_problems(params: Params) -> Iterator[str]:
    """Every impossible combination, with the path of the key to change."""
    yield from reference_problems(params)
    yield from teacher_problems(params)
    yield from frame_problems(params)
    yield from model_problems(params)
    yield from operator_problems(params)
    yield from shrink_problems(params)
    yield from objective_problems(params)
    yield from state_problems(params)
    yield from kind_problems(params)
