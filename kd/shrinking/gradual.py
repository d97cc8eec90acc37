"""Pruning in steps with training between them (Zhu & Gupta 2017, arXiv:1710.01878)."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from kd.models import Recogniser
from kd.propagation.choice import keep_by_scope
from kd.propagation.evidence import Evidence
from kd.propagation.importance import score_units
from kd.settings.propagation import PruneUnits, PruneWeights


def cubic(start: float, end: float, step: int, steps: int) -> float:
    """The sparsity after a step (from 1) of so many: fast at first, then slower; eq. 1."""
    return end + (start - end) * (1 - step / steps) ** 3


def cuts(epochs: int, steps: int) -> tuple[int, ...]:
    """Epochs before which it is pruned, evenly spaced; the last is `epochs`."""
    return tuple(round(epochs * step / steps) for step in range(1, steps + 1))


def zeros(model: Recogniser, settings: PruneWeights) -> int:
    """How many weights are zero at a sparsity, over all tensors or in each, as the scope says."""
    assert settings.sparsity is not None
    sizes = [p.numel() for p in model.parameters() if p.ndim > 1]
    together = sizes if settings.scope == "layer" else [sum(sizes)]
    return sum(round(settings.sparsity * size) for size in together)


def units_left(
    model: Recogniser, settings: PruneUnits, evidence: Evidence | None, sizes: Mapping[str, int], sparsity: float
) -> dict[str, Tensor]:
    """Indices kept by dimension, such that exactly round(sparsity * units) of those that there were have gone.

    By layer one unit stays in each, as where they are pruned at once.

    sizes: units of each dimension before the first step.
    """
    dimensions = [d for d in model.dimensions() if d.kind in settings.kinds]
    scores = score_units(model, dimensions, settings.importance, evidence)

    def still_to_go(names: Sequence[str]) -> int:
        before, now = sum(sizes[name] for name in names), sum(len(scores[name]) for name in names)
        count = max(0, now - (before - round(sparsity * before)))
        return min(count, now - 1) if settings.scope == "layer" else count

    return keep_by_scope(dimensions, scores, settings.scope, still_to_go)
