"""Which epoch is the best: the one with the least validation error, of equal ones that with the least loss.

Where no loss reaches the output layer, errors are those of weights that nothing taught, and say nothing of the layers
below: the last epoch then counts as the best, and no transcript of the validation part chooses.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

Metrics = TypeVar("Metrics", bound=Mapping[Any, Any])


HEAD_TAUGHT = "head_taught"
"""A metric of an epoch: 0 where no loss reaches the output layer; absent where one does."""


def better(metrics: Mapping[Any, Any], best: Sequence[float]) -> bool:
    """Whether an epoch is better than all before it, whose least `score` is `best`."""
    return metrics.get(HEAD_TAUGHT, 1.0) == 0 or score(metrics) < tuple(best)


def score(metrics: Mapping[Any, Any]) -> tuple[float, float]:
    """Lower is better."""
    return metrics["valid_error"], metrics["valid_loss"]


def best_epoch(history: Sequence[Metrics]) -> Metrics:
    """The best row of a history; of a model that shrank, among those of its last phase, where it has its size."""
    final = [row for row in history if row.get("phase") == history[-1].get("phase")]
    return final[-1] if final[-1].get(HEAD_TAUGHT, 1.0) == 0 else min(final, key=score)
