"""Which epoch is the best: the one with the least validation error, of equal ones that with the least loss."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

Metrics = TypeVar("Metrics", bound=Mapping[Any, Any])


def score(metrics: Mapping[Any, Any]) -> tuple[float, float]:
    """Lower is better."""
    return metrics["valid_error"], metrics["valid_loss"]


def best_epoch(history: Sequence[Metrics]) -> Metrics:
    """The best row of a history; of a model that shrank, among those of its last phase, where it has its size."""
    final = [row for row in history if row.get("phase") == history[-1].get("phase")]
    return min(final, key=score)
