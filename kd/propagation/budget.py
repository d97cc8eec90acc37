"""Budgets: which depth and widths a model gets that costs no more than it may, and keeps the most importance.

Units of all dims given but layers stand in one ranking, by importance over cost, or by what training has made of
them. At each depth what goes is the ranking's beginning, as short as the budget allows; of all depths that one is taken
whose weights matter most together. Sizes are those of the resulting settings, not estimates of them. See docs/adr/0014.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from kd.config.models import ModelSettings
from kd.config.propagation import Budget, Dim
from kd.models import Dimension, Recogniser
from kd.propagation.choice import comparable
from kd.propagation.select import LAYER_PREFIX, LAYERS, apply_to_tensors, resized

CHECKS = 8
"""Real measurements made at most where an estimate decides."""
MARGIN, ENOUGH = 0.98, 0.95
"""Shares of a budget: aimed at after a correction, and used up well enough."""


@dataclass(frozen=True)
class Cost:
    """What a model of given settings costs. check: a real measurement, where `of` only estimates it."""

    of: Callable[[ModelSettings], float]
    check: Callable[[ModelSettings], float] | None = None

    def real(self, settings: ModelSettings) -> float:
        return (self.check or self.of)(settings)


Costs = Callable[[ModelSettings, tuple[Dim, ...], Budget], Cost]
"""Gives the cost for a budget, of models between these settings and the smallest that removing these dims leaves."""


def cost_within(costs: Costs | None, settings: ModelSettings, dims: tuple[Dim, ...], budget: Budget) -> Cost:
    """For a budget; ValueError where nobody says what models cost."""
    if costs is None:
        raise ValueError(f"{budget} needs to know what models cost: give costs")
    return costs(settings, dims, budget)


@dataclass(frozen=True)
class Ranking:
    """What may go, the least worthy first: layers, and all other units; each dimension's best one is not among them."""

    model: Recogniser
    dimensions: Mapping[str, Dimension]
    layers: tuple[int, ...]
    units: tuple[tuple[str, int], ...]

    def choice(self, layers: int, units: int) -> dict[str, Tensor]:
        """Indices kept where the first so many layers and other units are gone, by dimension."""
        alive = {name: torch.ones(d.size, dtype=torch.bool) for name, d in self.dimensions.items()}
        for name, unit in (*((LAYERS, layer) for layer in self.layers[:layers]), *self.units[:units]):
            alive[name][unit] = False
        return {name: mask.nonzero()[:, 0] for name, mask in alive.items()}

    def settings(self, layers: int, units: int) -> ModelSettings:
        return resized(self.model.settings, self.model.dimensions(), self.choice(layers, units))


def choose_within(
    model: Recogniser, scores: Mapping[str, Tensor], worth: Mapping[str, Tensor], cost: Cost, budget: Budget
) -> dict[str, Tensor]:
    """The units kept, by dimension.

    scores: (size,) importance of the units of each dimension that may shrink, on one scale.
    worth: that of single weights, by parameter name, in their shapes; depths are compared by the sum of what is left.

    Raises ValueError where the budget is met already, or by nothing that these dimensions can leave.
    """
    ranking = rank(model, scores, cost)
    require_within_reach(ranking, cost, budget)
    depths = _depths(ranking, worth, cost, budget.most)
    layers = next(d for d in depths if cost.real(ranking.settings(d, len(ranking.units))) <= budget.most)
    return ranking.choice(layers, _fewest(ranking, layers, cost, budget))


def choose_least_within(
    model: Recogniser, scores: Mapping[str, Tensor], cost: Cost, budget: Budget
) -> dict[str, Tensor]:
    """The units kept, by dimension, where those of the least scores go, whatever they cost, as few as are enough.

    scores: (size,) of dimensions other than layers, on one scale. Raises ValueError as `choose_within` does.
    """
    dimensions = {d.name: d for d in model.dimensions() if d.name in scores}
    ranking = Ranking(model, dimensions, (), _least_first(scores))
    require_within_reach(ranking, cost, budget)
    return ranking.choice(0, _fewest(ranking, 0, cost, budget))


def importance_kept(model: Recogniser, worth: Mapping[str, Tensor], choice: Mapping[str, Tensor]) -> float:
    """Sum of the importance of all weights that are left, by their tensors' means, as scales differ between layers."""
    relative = {name: comparable(scores) for name, scores in worth.items()}
    return sum(float(left.double().sum()) for left in apply_to_tensors(relative, model.dimensions(), choice).values())


def rank(model: Recogniser, scores: Mapping[str, Tensor], cost: Cost) -> Ranking:
    """By the importance of all weights that go with a unit, over what it costs in the model as it is.

    scores: (size,) means over a unit's weights, on one scale over all dimensions.
    """
    dimensions = {d.name: d for d in model.dimensions() if d.name in scores and d.size > 1}
    whole, worth = cost.of(model.settings), {}
    for name, dimension in dimensions.items():
        spared = max(whole - cost.of(_without_one(model, dimension)), torch.finfo(torch.float64).tiny)
        worth[name] = scores[name].double() * weights_of_unit(model, dimension) / spared
    order = _least_first(worth)
    layers = tuple(unit for name, unit in order if name == LAYERS)
    return Ranking(model, dimensions, layers, tuple((name, unit) for name, unit in order if name != LAYERS))


def _least_first(scores: Mapping[str, Tensor]) -> tuple[tuple[str, int], ...]:
    """All units but each dimension's best one, by their scores."""
    units = [
        (value, name, unit)
        for name, values in scores.items()
        for unit, value in enumerate(values.tolist())
        if unit != int(values.argmax())
    ]
    return tuple((name, unit) for _, name, unit in sorted(units))


def weights_of_unit(model: Recogniser, dimension: Dimension) -> float:
    """How many weights go with one unit; of a layer, the mean over all layers."""
    parameters = dict(model.named_parameters())
    if dimension.dim == LAYERS:
        return sum(p.numel() for name, p in parameters.items() if name.startswith(LAYER_PREFIX)) / dimension.size
    return sum(parameters[a.tensor].numel() / dimension.size for a in dimension.axes if a.tensor in parameters)


def _without_one(model: Recogniser, dimension: Dimension) -> ModelSettings:
    return resized(model.settings, model.dimensions(), {dimension.name: torch.arange(dimension.size - 1)})


def require_within_reach(ranking: Ranking, cost: Cost, budget: Budget) -> None:
    """ValueError where the budget is met already, or by nothing that these dimensions can leave."""
    if (now := cost.real(ranking.model.settings)) <= budget.most:
        raise ValueError(
            f"{budget} is met already: the model has {now:,.6g}, so nothing would be removed. Lower the budget, or "
            "remove the operator"
        )
    smallest = ranking.settings(len(ranking.layers), len(ranking.units))
    if (least := cost.real(smallest)) > budget.most:
        dims = ", ".join(dict.fromkeys(d.dim for d in ranking.dimensions.values()))
        raise ValueError(
            f"{budget} cannot be met by removing {dims}: the smallest reachable is {least:,.6g}. "
            "Raise it, or name more dims"
        )


def _depths(ranking: Ranking, worth: Mapping[str, Tensor], cost: Cost, most: float) -> list[int]:
    """How many layers may fall: first where most importance is kept within the budget, as far as it is estimated."""

    def kept(layers: int) -> float:
        units = _shortest(ranking, layers, cost.of, most)
        if cost.of(ranking.settings(layers, units)) > most:
            return -torch.inf
        return importance_kept(ranking.model, worth, ranking.choice(layers, units))

    depths = range(len(ranking.layers) + 1)
    return sorted(depths, key=kept, reverse=True) if ranking.layers else [0]


def _fewest(ranking: Ranking, layers: int, cost: Cost, budget: Budget) -> int:
    """The fewest units to remove beside these layers; an estimate is held to real measurements, and corrected.

    These keep a bracket: with `low` units gone the budget is not met, with `high` it is. A guess outside it is halved.
    """
    if cost.check is None:
        return _shortest(ranking, layers, cost.of, budget.most)
    low, high, aim = -1, len(ranking.units), budget.most
    for _ in range(CHECKS):
        if high - low <= 1:
            break
        count = _shortest(ranking, layers, cost.of, aim)
        count = count if low < count < high else (low + high) // 2
        found = cost.check(ranking.settings(layers, count))
        aim *= MARGIN * budget.most / found
        low, high = (low, count) if found <= budget.most else (count, high)
        if ENOUGH * budget.most <= found <= budget.most:
            break
    return high


def _shortest(ranking: Ranking, layers: int, cost: Callable[[ModelSettings], float], most: float) -> int:
    """The least count whose removal costs at most so much; all units where none does."""
    low, high = 0, len(ranking.units)
    while low < high:
        middle = (low + high) // 2
        met = cost(ranking.settings(layers, middle)) <= most
        low, high = (low, middle) if met else (middle + 1, high)
    return high
