"""Which units go, once their scores are known.

Exactly as many as were asked for, or the fewest that remove the share of parameters asked for.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Literal

import torch
from torch import Tensor

from kd.config.propagation import Scope
from kd.models import Dimension, Recogniser
from kd.propagation.sizes import Sizes

Scores = Mapping[str, Tensor]
"""By dimension, (units,): more is more."""


def dimensions_of(model: Recogniser, dims: Sequence[str]) -> list[Dimension]:
    """The model's dimensions of these dims; ValueError for one that it has not."""
    have = dict.fromkeys(d.dim for d in model.dimensions())
    for dim in dims:
        if dim not in have:
            family = model.settings.encoder.family
            raise ValueError(f"{family} has no dimension '{dim}': choose from {', '.join(have)}")
    return [d for d in model.dimensions() if d.dim in dims]


def keep_by_scope(
    dimensions: Iterable[Dimension], scores: Scores, scope: Scope, to_go: Callable[[Sequence[str]], int]
) -> dict[str, Tensor]:
    """Indices kept by dimension; of all units that a scope ranks together, `to_go(their dimensions)` go.

    Where several dimensions are ranked together, scores are divided by their dimension's mean first, since the scale of
    weights differs between layers. Raises ValueError where so many cannot go.
    """
    together: dict[Scope, Callable[[Dimension], str]] = {
        "global": lambda _: "",
        "kind": lambda dimension: dimension.dim,
        "layer": lambda dimension: dimension.name,
    }
    ranked = together[scope]
    kept: dict[str, Tensor] = {}
    for _, group in groupby(sorted(dimensions, key=ranked), ranked):
        names = [dimension.name for dimension in group]
        kept |= without_the_least({name: comparable(scores[name]) for name in names}, to_go(names))
    return {name: kept[name] for name in scores}


def without_the_least(scores: Scores, count: int) -> dict[str, Tensor]:
    """Indices kept by dimension, when exactly `count` units of the least scores go; each keeps its best one.

    Raises ValueError where so many cannot go.
    """
    removable = sum(len(s) for s in scores.values()) - len(scores)
    if count > removable:
        raise ValueError(f"{count} units cannot go: of each dimension one must stay, so that at most {removable} can")
    joined = torch.cat([s.double().cpu() for s in scores.values()])
    start, best = 0, []
    for s in scores.values():
        best.append(start + int(s.argmax()))
        start += len(s)
    joined[best] = torch.inf
    there = torch.ones(len(joined), dtype=torch.bool)
    there[joined.argsort(stable=True)[:count]] = False
    parts = torch.split(there, [len(s) for s in scores.values()])
    return {name: part.nonzero()[:, 0] for name, part in zip(scores, parts, strict=True)}


def keep_by_sparsity(
    sizes: Sizes, scores: Scores, sparsity: float, of: Literal["params", "units"]
) -> dict[str, Tensor]:
    """Indices kept by dimension: without round(sparsity * units), or without the fewest units that hold the share.

    Raises ValueError where a share of parameters is out of reach.
    """
    if of == "units":
        return without_the_least(scores, round(sparsity * sizes.units))
    low, high = 0, sizes.units - len(scores)
    if params_left(sizes, scores, high) > (1 - sparsity) * sizes.total:
        raise ValueError(
            f"sparsity {sparsity:g} of {sizes.total} parameters cannot be reached: with one unit of each "
            f"dimension {params_left(sizes, scores, high)} are left. Lower it, or let more dimensions shrink"
        )
    while low < high:  # the fewest units that must go
        middle = (low + high) // 2
        if params_left(sizes, scores, middle) > (1 - sparsity) * sizes.total:
            low = middle + 1
        else:
            high = middle
    return without_the_least(scores, low)


def params_left(sizes: Sizes, scores: Scores, count: int) -> int:
    """Parameters left without the `count` least units."""
    kept = without_the_least(scores, count)
    there = {name: torch.zeros(len(s)).index_fill(0, kept[name], 1.0) for name, s in scores.items()}
    return round(float(sizes.params(there)))


def with_worth_of_dims(dimensions: Iterable[Dimension], scores: Scores, relative: Scores) -> dict[str, Tensor]:
    """Relative scores, times the mean score of their dim's units, be it large in one layer and small in the next.

    So dimensions compare as the scores say, and within a dim layers are worth the same.
    """
    dims = {dimension.name: dimension.dim for dimension in dimensions}
    means = {dim: torch.cat([scores[name] for name in dims if dims[name] == dim]).mean() for dim in dims.values()}
    return {name: units * means[dims[name]] for name, units in relative.items()}


def comparable(scores: Tensor) -> Tensor:
    """Divided by their mean, since the scale of weights differs between dimensions; negative ones moved up to 0."""
    above = scores - scores.min().clamp(max=0)
    return above / above.mean().clamp(min=torch.finfo(scores.dtype).tiny)
