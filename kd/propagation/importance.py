"""How much a weight, or a unit with all its weights, matters: a score to choose by.

Scores of single weights come from a table of pure functions. The score of a unit gathers those of
every weight that its dimension couples, incoming and outgoing; or it is how far the unit is from the others.
"""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

from kd.config.propagation import DataDriven, GeometricMedian, Importance, Magnitude, NormScale, Random
from kd.models import Dimension, Recogniser
from kd.models.dimensions import Axis
from kd.propagation.calibration import CalibrationStatistics
from kd.propagation.select import LAYER_PREFIX


def lamp(weight: Tensor) -> Tensor:
    """w² ÷ the sum of all squares in its tensor that are not smaller: 1 for the largest weight.

    Layer-adaptive magnitude (Lee et al. 2021, arXiv:2010.07611, eq. 1): ranked over all tensors, it leaves each its
    largest weights.
    """
    squares, order = weight.square().flatten().sort()
    not_smaller = squares.flip(0).cumsum(0).flip(0)
    scores = torch.empty_like(squares)
    scores[order] = squares / not_smaller.clamp(min=torch.finfo(squares.dtype).tiny)
    return scores.view_as(weight)


# (weight, its calibration statistics) -> importance, more is more.
# l1: |w|. l2: w^2. gradient: |g|. taylor and fisher: (w g)^2, first-order (Molchanov et al. 2019, arXiv:1906.10771,
# eq. 8); of taylor g is the gradient on all calibration batches together, of fisher squares are averaged over batches,
# as there: w^2 times the empirical Fisher information of batches.
# activation: |w| times the size of its input (Sun et al. 2023, arXiv:2306.11695, eq. 1). movement: its own statistics.
CRITERIA: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": lambda weight, _: weight.abs(),
    "l2": lambda weight, _: weight.square(),
    "lamp": lambda weight, _: lamp(weight),
    "gradient": lambda weight, gradient: gradient.abs(),
    "taylor": lambda weight, gradient: (weight * gradient).square(),
    "fisher": lambda weight, squared_gradient: weight.square() * squared_gradient,
    "activation": lambda weight, size: weight.abs() * size,
    "movement": lambda weight, moved: moved,
}


def score_units(
    model: Recogniser, dimensions: Iterable[Dimension], importance: Importance, statistics: CalibrationStatistics | None
) -> dict[str, Tensor]:
    """(size,) importance of each unit, by dimension; errors as of `weight_scores` and `unit_scores`."""
    if isinstance(importance, GeometricMedian):
        weights = {name: p.detach().cpu() for name, p in model.named_parameters()}
        return {d.name: geometric_median_distance(d, weights) for d in dimensions}
    scores = weight_scores(model, importance, statistics)
    return {d.name: unit_scores(d, scores) for d in dimensions}


def weight_worth(
    model: Recogniser, importance: Importance, statistics: CalibrationStatistics | None
) -> dict[str, Tensor]:
    """Importance of every weight, as `weight_scores`; the square of each where only whole units have one."""
    by_weight = Magnitude(by="l2") if isinstance(importance, GeometricMedian) else importance
    return weight_scores(model, by_weight, statistics)


def weight_scores(
    model: Recogniser, importance: Importance, statistics: CalibrationStatistics | None
) -> dict[str, Tensor]:
    """Importance of every weight, by parameter name: at least 0, but for movement, which has a sign.

    `norm` gives the scales of norms alone.

    statistics: needed by data-driven importances; ValueError where missing.
    """
    weights = {name: p.detach().cpu() for name, p in model.named_parameters()}
    if isinstance(importance, Random):
        generator = torch.Generator().manual_seed(importance.seed)
        return {name: torch.rand(w.shape, generator=generator) for name, w in weights.items()}
    if isinstance(importance, NormScale):
        return {name: weights[name].abs() for name in norm_scales(model)}
    if isinstance(importance, DataDriven) and statistics is None:
        raise ValueError(f"importance '{importance.by}' needs calibration batches; none were given")
    score, given = CRITERIA[importance.by], statistics or {}
    return {name: score(w, given.get(name, w)) for name, w in weights.items()}


def norm_scales(model: Recogniser) -> list[str]:
    """Names of the parameters by which batch and layer norms scale units."""
    norms = (nn.LayerNorm, nn.BatchNorm1d)
    return [f"{name}.weight" for name, module in model.named_modules() if isinstance(module, norms)]


def unit_scores(dimension: Dimension, scores: Mapping[str, Tensor]) -> Tensor:
    """(size,) importance of each unit: the mean score of the weights that it couples.

    The mean, not the sum, so that units of different fan-in can be compared in one ranking.
    """
    if dimension.dim == "layers":
        return _layer_scores(dimension.size, scores)
    total, count = torch.zeros(dimension.size), 0
    for axis in dimension.axes:
        if axis.tensor in scores:
            total += along(axis, dimension.size, scores[axis.tensor])
            count += scores[axis.tensor].numel() // dimension.size
    if count == 0:
        raise ValueError(f"no norm scales '{dimension.name}': choose another importance for {dimension.dim}")
    return total / count


def geometric_median_distance(dimension: Dimension, weights: Mapping[str, Tensor]) -> Tensor:
    """(size,) sum of each unit's distances to the others: least near the geometric median, where others stand in.

    A unit is the vector of all weights that form it, not of those that read it (He et al. 2019, arXiv:1811.00250,
    eq. 6).
    """
    formed = [axis for axis in dimension.axes if not axis.reads and axis.tensor in weights]
    units_SW = torch.cat([by_unit(axis, dimension.size, weights[axis.tensor]) for axis in formed], dim=1)
    return torch.cdist(units_SW, units_SW, compute_mode="donot_use_mm_for_euclid_dist").sum(1)


def by_unit(axis: Axis, size: int, tensor: Tensor) -> Tensor:
    """(size, W) the entries of a tensor that belong to each unit."""
    moved = tensor.movedim(axis.dim, 0)
    return moved.reshape(axis.blocks, size, -1).transpose(0, 1).flatten(1)


def along(axis: Axis, size: int, score: Tensor) -> Tensor:
    """Sum of a tensor's scores over all but one dimension's units."""
    return by_unit(axis, size, score).sum(1)


def _layer_scores(size: int, scores: Mapping[str, Tensor]) -> Tensor:
    totals = []
    for i in range(size):
        own = [s for name, s in scores.items() if name.startswith(f"{LAYER_PREFIX}{i}.")]
        totals.append(sum(float(s.sum()) for s in own) / sum(s.numel() for s in own))
    return torch.tensor(totals)
