"""Pruning in steps with training between them (Zhu & Gupta 2017, arXiv:1710.01878)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from kd.config.propagation import PruneUnits, PruneWeights
from kd.config.scheduled import Gradual
from kd.models import Recogniser
from kd.propagation.budget import rank, require_within_reach
from kd.propagation.calibration import CalibrationStatistics
from kd.propagation.choice import keep_by_scope
from kd.propagation.importance import score_units
from kd.propagation.operators import Propagated, choice_within, keep_units, propagate, statistics_for
from kd.propagation.scheduled.method import Knowledge
from kd.propagation.scheduled.removal import learnt_dimensions
from kd.training.weight_hook import NoWeightHook, WeightHook


class InSteps:
    """The least important go in several steps, with training under one learning-rate schedule throughout."""

    anew = False

    def __init__(self, settings: Gradual, start: Propagated, knows: Knowledge) -> None:
        self.steps = settings.steps
        self.cuts: tuple[int, ...] = cuts(settings.epochs, settings.steps)
        self.schedule = _schedule(settings.prune, start, knows)

    def pressure(self, model: Recogniser, steps: int, seed: int) -> NoWeightHook:
        return NoWeightHook()

    def cut(self, source: Propagated, pressure: WeightHook, number: int) -> Propagated:
        amount = cubic(self.schedule.start, self.schedule.end, number + 1, self.steps)
        return self.schedule.step(source, amount, f", step {number + 1} of {self.steps}")


class PruningSchedule(Protocol):
    """From an amount to another: sparsities, or costs."""

    start: float
    end: float

    def step(self, source: Propagated, amount: float, step: str) -> Propagated:
        """What is left of a model at this amount; `step` ends the line that its lineage gains."""
        ...


class OfWeights:
    """Single weights, to a sparsity."""

    def __init__(self, prune: PruneWeights, start: Propagated, knows: Knowledge) -> None:
        assert prune.sparsity is not None
        self.prune, self.calibrate = prune, knows.calibrate
        self.start, self.end = require_more_zeros(start, prune.sparsity), prune.sparsity

    def step(self, source: Propagated, amount: float, step: str) -> Propagated:
        prune = self.prune.model_copy(update={"sparsity": amount})
        if zeros(source.model, prune) <= sum(int((~mask).sum()) for mask in source.masks.values()):
            line = f"prune weights by {prune.importance.by}{step}: too small for one weight"
            return replace(source, lineage=(*source.lineage, line), kept=(*source.kept, {}))
        return propagate(source, [prune], self.calibrate)


class OfUnits:
    """Units, to a sparsity."""

    def __init__(self, prune: PruneUnits, start: Propagated, knows: Knowledge) -> None:
        assert prune.sparsity is not None
        self.prune, self.calibrate = prune, knows.calibrate
        self.start, self.end = 0.0, prune.sparsity
        self.sizes = {d.name: d.size for d in learnt_dimensions(start.model, prune.dims)}
        nothing: CalibrationStatistics = {name: torch.ones(p.shape) for name, p in start.model.named_parameters()}
        units_left(start.model, prune, nothing, self.sizes, prune.sparsity)

    def step(self, source: Propagated, amount: float, step: str) -> Propagated:
        statistics = statistics_for(source.model, self.prune, self.calibrate)
        choice = units_left(source.model, self.prune, statistics, self.sizes, amount)
        return keep_units(source, choice, f"prune units by {self.prune.importance.by}{step}")


class WithinBudgets:
    """Units, to budgets that fall from what the model costs to the one asked for; each step ranks them anew."""

    def __init__(self, prune: PruneUnits, start: Propagated, knows: Knowledge) -> None:
        assert prune.budget is not None
        dimensions = learnt_dimensions(start.model, prune.dims)
        self.prune, self.budget, self.calibrate = prune, prune.budget, knows.calibrate
        self.cost = knows.cost(start.model.settings, prune.dims, prune.budget)
        self.start, self.end = self.cost.of(start.model.settings), float(prune.budget.most)
        alike = {d.name: torch.ones(d.size) for d in dimensions}
        if knows.begins:
            require_within_reach(rank(start.model, alike, self.cost), self.cost, prune.budget)

    def step(self, source: Propagated, amount: float, step: str) -> Propagated:
        prune = self.prune.model_copy(update={"budget": self.budget.at(amount)})
        if self.cost.of(source.model.settings) <= amount:
            line = f"prune units by {prune.importance.by} to {prune.budget}{step}: it is met already"
            return replace(source, lineage=(*source.lineage, line), kept=(*source.kept, {}))
        statistics = statistics_for(source.model, prune, self.calibrate)
        choice = choice_within(source.model, prune, statistics, self.cost)
        return keep_units(source, choice, f"prune units by {prune.importance.by} to {prune.budget}{step}")


def _schedule(prune: PruneUnits | PruneWeights, start: Propagated, knows: Knowledge) -> PruningSchedule:
    if isinstance(prune, PruneWeights):
        return OfWeights(prune, start, knows)
    return OfUnits(prune, start, knows) if prune.budget is None else WithinBudgets(prune, start, knows)


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
    dimensions = [d for d in model.dimensions() if d.kind in settings.dims]
    scores = score_units(model, dimensions, settings.importance, statistics)

    def still_to_go(names: Sequence[str]) -> int:
        before, now = sum(sizes[name] for name in names), sum(len(scores[name]) for name in names)
        count = max(0, now - (before - round(sparsity * before)))
        return min(count, now - 1) if settings.scope == "layer" else count

    return keep_by_scope(dimensions, scores, settings.scope, still_to_go)
