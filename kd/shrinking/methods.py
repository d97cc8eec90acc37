"""How a student shrinks: after which epochs, under what pressure until then, and what goes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import torch
from accelerate.utils import broadcast_object_list
from torch import Tensor

from kd.models import Recogniser
from kd.propagation.budget import Costs, choose_least_within
from kd.propagation.evidence import Evidence
from kd.propagation.operators import Calibrate, Propagated, keep_units, propagate
from kd.settings.propagation import DataDriven, PruneWeights
from kd.settings.shrinking import L1, Gates, Gradual, GroupLasso, Shrink
from kd.shrinking import gradual
from kd.shrinking.gates import GatePressure, folded
from kd.shrinking.hard_concrete import at_rest
from kd.shrinking.penalties import PenaltyPressure, coupled, group_lasso, l1
from kd.shrinking.removal import chosen, learnt_dimensions
from kd.shrinking.sizes import Sizes
from kd.training.pressure import NoPressure, Pressure


@dataclass(frozen=True)
class Knowledge:
    """What a method may ask for: evidence from calibration batches, and what models cost."""

    calibrate: Calibrate | None = None
    costs: Costs | None = None


class Method(Protocol):
    """cuts: epochs before which something goes, in order. anew: learning rates begin anew with each phase."""

    cuts: tuple[int, ...]
    anew: bool

    def pressure(self, model: Recogniser, steps: int, seed: int) -> Pressure:
        """On a model that is trained in that many steps until the next cut."""
        ...

    def cut(self, source: Propagated, pressure: Pressure, number: int) -> Propagated:
        """The smaller or sparser model after the cut of this number, from 0; `source` lies on the CPU."""
        ...


class LearntGates:
    """Gates are learnt, then multiplied into the weights, and the units of the least gates removed."""

    anew = True

    def __init__(self, settings: Gates, start: Propagated, knows: Knowledge) -> None:
        self.settings = settings
        self.cuts: tuple[int, ...] = (settings.epochs,)
        dimensions = learnt_dimensions(start.model, settings.kinds)
        chosen(
            Sizes.of(start.model, dimensions),
            {d.name: torch.zeros(d.size) for d in dimensions},
            settings.sparsity,
            settings.of,
        )

    def pressure(self, model: Recogniser, steps: int, seed: int) -> GatePressure:
        return GatePressure(model, self.settings, steps, seed)

    def cut(self, source: Propagated, pressure: Pressure, number: int) -> Propagated:
        assert isinstance(pressure, GatePressure)
        log_alpha_N = pressure.log_alpha_N.detach()
        gates = pressure.by_dimension(at_rest(log_alpha_N))
        choice = chosen(pressure.sizes, pressure.by_dimension(log_alpha_N), self.settings.sparsity, self.settings.of)
        model = folded(source.model, pressure.dimensions, gates)
        return keep_units(Propagated(model, source.masks, source.lineage, source.kept), choice, "remove units by gates")


class PenalisedUnits:
    """Units are drawn to zero; then those of the least root mean square go."""

    anew = True

    def __init__(self, settings: GroupLasso, start: Propagated, knows: Knowledge) -> None:
        self.settings, self.cost = settings, None
        self.cuts: tuple[int, ...] = (settings.epochs,)
        if settings.budget is not None:
            if knows.costs is None:
                raise ValueError(f"{settings.budget} needs to know what models cost: give costs")
            self.cost = knows.costs(start.model.settings, settings.kinds, settings.budget)
        self._choose(start.model)

    def pressure(self, model: Recogniser, steps: int, seed: int) -> PenaltyPressure:
        penalty = partial(group_lasso, dimensions=learnt_dimensions(model, self.settings.kinds))
        return PenaltyPressure(model, penalty, self.settings.weight)

    def cut(self, source: Propagated, pressure: Pressure, number: int) -> Propagated:
        choice = broadcast_object_list([self._choose(source.model)])[0]  # a time is not the same in every process
        to = "" if self.settings.budget is None else f" to {self.settings.budget}"
        return keep_units(source, choice, f"remove units by group lasso{to}")

    def _choose(self, model: Recogniser) -> dict[str, Tensor]:
        dimensions = learnt_dimensions(model, self.settings.kinds)
        parameters = {name: p.detach() for name, p in model.named_parameters()}
        means = {d.name: squares / count for d in dimensions for squares, count in [coupled(parameters, d)]}
        if self.cost is not None:
            assert self.settings.budget is not None
            return choose_least_within(model, means, self.cost, self.settings.budget)
        assert self.settings.sparsity is not None
        return chosen(Sizes.of(model, dimensions), means, self.settings.sparsity, self.settings.of)


class PenalisedWeights:
    """Weights are drawn to zero; then the least are set to zero and stay so."""

    anew = True

    def __init__(self, settings: L1, start: Propagated, knows: Knowledge) -> None:
        _require_more_zeros(start, settings.sparsity)
        self.settings = settings
        self.cuts: tuple[int, ...] = (settings.epochs,)

    def pressure(self, model: Recogniser, steps: int, seed: int) -> PenaltyPressure:
        return PenaltyPressure(model, l1, self.settings.weight)

    def cut(self, source: Propagated, pressure: Pressure, number: int) -> Propagated:
        return propagate(source, [PruneWeights(op="prune_weights", sparsity=self.settings.sparsity)])


class InSteps:
    """The least important go in several steps, with training under one learning-rate schedule throughout."""

    anew = False

    def __init__(self, settings: Gradual, start: Propagated, knows: Knowledge) -> None:
        self.settings, self.calibrate = settings, knows.calibrate
        self.cuts: tuple[int, ...] = gradual.cuts(settings.epochs, settings.steps)
        assert settings.prune.sparsity is not None
        self.sparsity = settings.prune.sparsity
        if isinstance(settings.prune, PruneWeights):
            self.sizes, self.start = {}, _require_more_zeros(start, self.sparsity)
        else:
            self.sizes = {d.name: d.size for d in learnt_dimensions(start.model, settings.prune.kinds)}
            self.start = 0.0
            nothing: Evidence = {name: torch.ones(p.shape) for name, p in start.model.named_parameters()}
            gradual.units_left(start.model, settings.prune, nothing, self.sizes, self.sparsity)

    def pressure(self, model: Recogniser, steps: int, seed: int) -> NoPressure:
        return NoPressure()

    def cut(self, source: Propagated, pressure: Pressure, number: int) -> Propagated:
        prune, steps = self.settings.prune, self.settings.steps
        sparsity = gradual.cubic(self.start, self.sparsity, number + 1, steps)
        if isinstance(prune, PruneWeights):
            step = prune.model_copy(update={"sparsity": sparsity})
            if gradual.zeros(source.model, step) <= sum(int((~mask).sum()) for mask in source.masks.values()):
                line = f"prune weights by {prune.importance.by}, step {number + 1} of {steps}: too small for one weight"
                return replace(source, lineage=(*source.lineage, line), kept=(*source.kept, {}))
            return propagate(source, [step], self.calibrate)
        evidence = None
        if isinstance(prune.importance, DataDriven) and self.calibrate is not None:
            evidence = self.calibrate(source.model, prune.importance)
        choice = gradual.units_left(source.model, prune, evidence, self.sizes, sparsity)
        return keep_units(source, choice, f"prune units by {prune.importance.by}, step {number + 1} of {steps}")


def _require_more_zeros(start: Propagated, sparsity: float) -> float:
    """The share of weights (of two axes or more: those that are pruned) that is zero already; ValueError if enough."""
    weights = [p for p in start.model.parameters() if p.ndim > 1]
    share = sum(int((~mask).sum()) for mask in start.masks.values()) / sum(p.numel() for p in weights)
    if share >= sparsity:
        raise ValueError(f"{share:.0%} of the weights are zeroed already: raise sparsity {sparsity:g} above that")
    return share


METHODS: dict[type[Any], Callable[[Any, Propagated, Knowledge], Method]] = {
    Gates: LearntGates,
    GroupLasso: PenalisedUnits,
    L1: PenalisedWeights,
    Gradual: InSteps,
}


def make_method(settings: Shrink, start: Propagated, knows: Knowledge) -> Method:
    """Raises ValueError where the model cannot shrink so, before anything is trained."""
    try:
        return METHODS[type(settings)](settings, start, knows)
    except ValueError as error:
        raise ValueError(f"shrink: {error}") from None
