"""Pruning in steps with training between them (Zhu & Gupta 2017, arXiv:1710.01878)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from kd.config.propagation import PruneUnits, PruneWeights
from kd.config.shrink import Gradual
from kd.models import Recogniser
from kd.propagation.budget import rank, require_within_reach
from kd.propagation.calibration import CalibrationStatistics
from kd.propagation.choice import dimensions_of, keep_by_scope
from kd.propagation.importance import score_units
from kd.propagation.operators import Propagated, choice_within, keep_units, propagate, statistics_for
from kd.propagation.shrink.method import ShrinkContext
from kd.training.weight_hook import NoWeightHook, WeightHook


class StepwisePruning:
    """The least important go in several steps, with training under one learning-rate schedule throughout."""

    anew = False

    def __init__(self, settings: Gradual, start: Propagated, context: ShrinkContext) -> None:
        self.steps = settings.steps
        self.cuts: tuple[int, ...] = cuts(settings.epochs, settings.steps)
        self.schedule = _schedule(settings.prune, start, context)

    def weight_hook(self, model: Recogniser, steps: int, seed: int) -> NoWeightHook:
        """A hook that does nothing: between two steps training is as without shrinking."""
        return NoWeightHook()

    def cut(self, source: Propagated, weight_hook: WeightHook, number: int) -> Propagated:
        """A new model after step number + 1; what went before stays gone, and `source` is untouched."""
        amount = cubic(self.schedule.start, self.schedule.end, number + 1, self.steps)
        return self.schedule.step(source, amount, f", step {number + 1} of {self.steps}")


class PruningSchedule(Protocol):
    """From an amount to another: sparsities, or costs."""

    start: float
    end: float

    def step(self, source: Propagated, amount: float, step: str) -> Propagated:
        """What is left of a model at this amount; `step` ends the line that its lineage gains."""
        ...


class WeightSparsitySchedule:
    """Single weights, to a sparsity."""

    def __init__(self, prune: PruneWeights, start: Propagated, context: ShrinkContext) -> None:
        assert prune.sparsity is not None
        self.prune, self.calibrate = prune, context.calibrate
        self.start, self.end = require_more_zeros(start, prune.sparsity), prune.sparsity

    def step(self, source: Propagated, amount: float, step: str) -> Propagated:
        """A new model with masks of this sparsity, or `source` with another line where no weight would go."""
        prune = self.prune.model_copy(update={"sparsity": amount})
        if zeros(source.model, prune) <= sum(int((~mask).sum()) for mask in source.masks.values()):
            line = f"prune weights by {prune.importance.by}{step}: too small for one weight"
            return replace(source, lineage=(*source.lineage, line), kept=(*source.kept, {}))
        return propagate(source, [prune], self.calibrate)


class UnitSparsitySchedule:
    """Units, to a sparsity."""

    def __init__(self, prune: PruneUnits, start: Propagated, context: ShrinkContext) -> None:
        assert prune.sparsity is not None
        self.prune, self.calibrate = prune, context.calibrate
        self.start, self.end = 0.0, prune.sparsity
        self.sizes = {d.name: d.size for d in dimensions_of(start.model, prune.dims)}
        nothing: CalibrationStatistics = {name: torch.ones(p.shape) for name, p in start.model.named_parameters()}
        units_left(start.model, prune, nothing, self.sizes, prune.sparsity)

    def step(self, source: Propagated, amount: float, step: str) -> Propagated:
        """A new model without this share of the units that there were at first."""
        statistics = statistics_for(source.model, self.prune, self.calibrate)
        choice = units_left(source.model, self.prune, statistics, self.sizes, amount)
        return keep_units(source, choice, f"prune units by {self.prune.importance.by}{step}")


class BudgetSchedule:
    """Units, to budgets that fall from what the model costs to the one asked for; each step ranks them anew."""

    def __init__(self, prune: PruneUnits, start: Propagated, context: ShrinkContext) -> None:
        assert prune.budget is not None
        dimensions = dimensions_of(start.model, prune.dims)
        self.prune, self.budget, self.calibrate = prune, prune.budget, context.calibrate
        self.cost = context.cost(start.model.settings, prune.dims, prune.budget)
        self.start, self.end = self.cost.of(start.model.settings), float(prune.budget.most)
        alike = {d.name: torch.ones(d.size) for d in dimensions}
        if context.begins:
            require_within_reach(rank(start.model, alike, self.cost), self.cost, prune.budget)

    def step(self, source: Propagated, amount: float, step: str) -> Propagated:
        """A new model that costs at most this, or `source` with another line where it does already."""
        prune = self.prune.model_copy(update={"budget": self.budget.at(amount)})
        if self.cost.of(source.model.settings) <= amount:
            line = f"prune units by {prune.importance.by} to {prune.budget}{step}: it is met already"
            return replace(source, lineage=(*source.lineage, line), kept=(*source.kept, {}))
        statistics = statistics_for(source.model, prune, self.calibrate)
        choice = choice_within(source.model, prune, statistics, self.cost)
        return keep_units(source, choice, f"prune units by {prune.importance.by} to {prune.budget}{step}")


def _schedule(prune: PruneUnits | PruneWeights, start: Propagated, context: ShrinkContext) -> PruningSchedule:
    if isinstance(prune, PruneWeights):
        return WeightSparsitySchedule(prune, start, context)
    return (
        UnitSparsitySchedule(prune, start, context) if prune.budget is None else BudgetSchedule(prune, start, context)
    )


def cubic(start: float, end: float, step: int, steps: int) -> float:
    """The amount after a step (from 1) of so many: fast at first, then slower; eq. 1, of sparsities."""
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


def require_more_zeros(start: Propagated, sparsity: float) -> float:
    """The share of weights (of two axes or more: those that are pruned) that is zero already; ValueError if enough."""
    weights = [p for p in start.model.parameters() if p.ndim > 1]
    share = sum(int((~mask).sum()) for mask in start.masks.values()) / sum(p.numel() for p in weights)
    if share >= sparsity:
        raise ValueError(f"{share:.0%} of the weights are zeroed already: raise sparsity {sparsity:g} above that")
    return share


def units_left(
    model: Recogniser,
    settings: PruneUnits,
    statistics: CalibrationStatistics | None,
    sizes: Mapping[str, int],
    sparsity: float,
) -> dict[str, Tensor]:
    """Indices kept by dimension, such that exactly round(sparsity * units) of those that there were have gone.

    By layer one unit stays in each, as where they are pruned at once.

    sizes: units of each dimension before the first step.
    """
    dimensions = [d for d in model.dimensions() if d.dim in settings.dims]
    scores = score_units(model, dimensions, settings.importance, statistics)

    def still_to_go(names: Sequence[str]) -> int:
        before, now = sum(sizes[name] for name in names), sum(len(scores[name]) for name in names)
        count = max(0, now - (before - round(sparsity * before)))
        return min(count, now - 1) if settings.scope == "layer" else count

    return keep_by_scope(dimensions, scores, settings.scope, still_to_go)
