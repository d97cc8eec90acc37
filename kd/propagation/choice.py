"""Which units go, once their scores are known: exactly as many as were asked for."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby

import torch
from torch import Tensor

from kd.config.propagation import Scope
from kd.models import Dimension

Scores = Mapping[str, Tensor]
"""By dimension, (units,): more is more."""


def keep_by_scope(
    dimensions: Iterable[Dimension], scores: Scores, scope: Scope, to_go: Callable[[Sequence[str]], int]
) -> dict[str, Tensor]:
    """Indices kept by dimension; of all units that a scope ranks together, `to_go(their dimensions)` go.

    Where several dimensions are ranked together, scores are divided by their dimension's mean first, since the scale of
    weights differs between layers. Raises ValueError where so many cannot go.
    """
    together: dict[Scope, Callable[[Dimension], str]] = {
        "global": lambda _: "",
        "kind": lambda dimension: dimension.kind,
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


def with_worth_of_kinds(dimensions: Iterable[Dimension], scores: Scores, relative: Scores) -> dict[str, Tensor]:
    """Relative scores, times the mean score of their kind's units, be it large in one layer and small in the next.

    So dimensions compare as the scores say, and within a kind of dimension layers are worth the same.
    """
    kinds = {dimension.name: dimension.kind for dimension in dimensions}
    means = {kind: torch.cat([scores[name] for name in kinds if kinds[name] == kind]).mean() for kind in kinds.values()}
    return {name: units * means[kinds[name]] for name, units in relative.items()}


def comparable(scores: Tensor) -> Tensor:
    """Divided by their mean, since the scale of weights differs between dimensions; negative ones moved up to 0."""
    above = scores - scores.min().clamp(max=0)
    return above / above.mean().clamp(min=torch.finfo(scores.dtype).tiny)
