"""Which units go, once their scores are learnt: exactly as many, or as many parameters, as were asked for."""

from typing import Literal

import torch
from torch import Tensor

from kd.models import Dimension, Recogniser
from kd.propagation.choice import Scores, without_the_least
from kd.propagation.scheduled.sizes import Sizes


def learnt_dimensions(model: Recogniser, kinds: tuple[str, ...]) -> list[Dimension]:
    """The model's dimensions of these kinds; ValueError for a kind that it has not."""
    have = dict.fromkeys(d.kind for d in model.dimensions())
    for kind in kinds:
        if kind not in have:
            family = model.settings.encoder.family
            raise ValueError(f"dims: {family} has no dimension '{kind}'; it has {', '.join(have)}")
    return [d for d in model.dimensions() if d.kind in kinds]


def chosen(sizes: Sizes, scores: Scores, sparsity: float, of: Literal["params", "units"]) -> dict[str, Tensor]:
    """What stays: without round(sparsity * units), or with as many units as its share of parameters lets stay."""
    if of == "units":
        return without_the_least(scores, round(sparsity * sizes.units))
    low, high = 0, sizes.units - len(scores)
    if left(sizes, scores, high) > (1 - sparsity) * sizes.total:
        raise ValueError(
            f"sparsity {sparsity:g} of {sizes.total} parameters cannot be reached: with one unit of each "
            f"dimension {left(sizes, scores, high)} are left. Lower it, or let more dimensions shrink"
        )
    while low < high:  # the fewest units that must go
        middle = (low + high) // 2
        if left(sizes, scores, middle) > (1 - sparsity) * sizes.total:
            low = middle + 1
        else:
            high = middle
    return without_the_least(scores, low)


def left(sizes: Sizes, scores: Scores, count: int) -> int:
    """Parameters left without the `count` least units."""
    kept = without_the_least(scores, count)
    there = {name: torch.zeros(len(s)).index_fill(0, kept[name], 1.0) for name, s in scores.items()}
    return round(float(sizes.params(there)))
