"""How much a weight, or a unit with all its weights, matters: a score to choose by.

Scores of single weights come from a table of pure functions. The score of a unit gathers those of
every weight that its dimension couples, incoming and outgoing.
"""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from kd.models import Dimension, Recogniser
from kd.models.dimensions import Axis
from kd.propagation.select import LAYER_PREFIX
from kd.settings.propagation import DataDriven, Importance, Random

Gradients = Mapping[str, Tensor]

# (weight, gradient of the loss, averaged over calibration batches) -> importance, >= 0.
# l1: |w|. l2: w^2. gradient: |g|. taylor: (w g)^2, first-order (Molchanov et al. 2019, arXiv:1906.10771, eq. 8).
CRITERIA: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": lambda weight, gradient: weight.abs(),
    "l2": lambda weight, gradient: weight.square(),
    "gradient": lambda weight, gradient: gradient.abs(),
    "taylor": lambda weight, gradient: (weight * gradient).square(),
}


def weight_scores(model: Recogniser, importance: Importance, gradients: Gradients | None) -> dict[str, Tensor]:
    """Importance of every weight, by parameter name.

    gradients: needed by data-driven importances (see `mean_gradients`); ValueError where missing.
    """
    weights = {name: p.detach() for name, p in model.named_parameters()}
    if isinstance(importance, Random):
        generator = torch.Generator().manual_seed(importance.seed)
        return {name: torch.rand(w.shape, generator=generator) for name, w in weights.items()}
    if isinstance(importance, DataDriven) and gradients is None:
        raise ValueError(f"importance '{importance.by}' needs gradients from calibration batches; none were given")
    score = CRITERIA[importance.by]
    given = gradients or {}
    return {name: score(w, given.get(name, w)).cpu() for name, w in weights.items()}


def unit_scores(dimension: Dimension, scores: Mapping[str, Tensor]) -> Tensor:
    """(size,) importance of each unit: the mean score of the weights that it couples.

    The mean, not the sum, so that units of different fan-in can be compared in one ranking.
    """
    if dimension.kind == "layers":
        return _layer_scores(dimension.size, scores)
    total, count = torch.zeros(dimension.size), 0
    for axis in dimension.axes:
        if axis.tensor in scores:
            total += _along(axis, dimension.size, scores[axis.tensor])
            count += scores[axis.tensor].numel() // dimension.size
    return total / count


def mean_gradients(model: Recogniser, losses: Iterable[Callable[[], Tensor]]) -> dict[str, Tensor]:
    """Gradient of each parameter, averaged over calibration losses; the model's own gradients stay as they were."""
    parameters = dict(model.named_parameters())
    totals = {name: torch.zeros_like(p) for name, p in parameters.items()}
    count = 0
    for loss in losses:
        for name, gradient in zip(parameters, torch.autograd.grad(loss(), list(parameters.values())), strict=True):
            totals[name] += gradient
        count += 1
    if count == 0:
        raise ValueError("no calibration batch: gradients need at least one. Is the training split empty?")
    return {name: (total / count).cpu() for name, total in totals.items()}


def _along(axis: Axis, size: int, score: Tensor) -> Tensor:
    """Sum of a tensor's scores over all but one dimension's units."""
    moved = score.movedim(axis.dim, 0)
    return moved.reshape(axis.blocks, size, -1).sum((0, 2))


def _layer_scores(size: int, scores: Mapping[str, Tensor]) -> Tensor:
    totals = []
    for i in range(size):
        own = [s for name, s in scores.items() if name.startswith(f"{LAYER_PREFIX}{i}.")]
        totals.append(sum(float(s.sum()) for s in own) / sum(s.numel() for s in own))
    return torch.tensor(totals)
