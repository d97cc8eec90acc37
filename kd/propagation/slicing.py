"""Slicing: part of a model's layers and units becomes the student."""

from collections.abc import Callable

import torch
from torch import Tensor

from kd.config.propagation import Slice
from kd.models import Dimension, Recogniser
from kd.propagation.calibration import CalibrationStatistics
from kd.propagation.choice import dimensions_of
from kd.propagation.importance import score_units

# (units there are, units to keep, generator) -> indices kept, in order.
POSITIONS: dict[str, Callable[[int, int, torch.Generator], Tensor]] = {
    "random": lambda size, keep, generator: torch.randperm(size, generator=generator)[:keep].sort().values,
    "first": lambda size, keep, generator: torch.arange(keep),
    "last": lambda size, keep, generator: torch.arange(size - keep, size),
    "spaced": lambda size, keep, generator: spaced(size, keep),
}


def spaced(size: int, keep: int) -> Tensor:
    """Evenly spaced indices, first and last included (Distil-Whisper, arXiv:2311.00430, sec. 4)."""
    return torch.linspace(0, size - 1, keep).round().long()


def choose_slice(
    model: Recogniser, settings: Slice, statistics: CalibrationStatistics | None = None
) -> dict[str, Tensor]:
    """The indices that a slice keeps, by dimension; ValueError where it asks for more than there is."""
    generator = torch.Generator().manual_seed(settings.seed)
    dimensions = dimensions_of(model, tuple(settings.keep))
    counts = {d.name: count_to_keep(d, settings) for d in dimensions}
    if settings.choose == "importance":
        scores = score_units(model, dimensions, settings.importance, statistics)
        return {name: s.topk(counts[name]).indices.sort().values for name, s in scores.items()}
    choose = POSITIONS[settings.choose]
    return {d.name: choose(d.size, counts[d.name], generator) for d in dimensions}


def count_to_keep(dimension: Dimension, settings: Slice) -> int:
    """Units of one dimension that a slice keeps: its count, or its share rounded, at least one."""
    count = settings.count(dimension.dim, dimension.size)
    if count > dimension.size:
        raise ValueError(
            f"slice keeps {count} of '{dimension.name}', which has only {dimension.size}: "
            f"lower keep.{dimension.dim}, or give a share below 1"
        )
    return count
