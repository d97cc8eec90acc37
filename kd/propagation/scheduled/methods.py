"""How a student shrinks: after which epochs, under what pressure until then, and what goes."""

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

import torch
from accelerate.utils import broadcast_object_list
from torch import Tensor

from kd.config.propagation import PruneWeights
from kd.config.scheduled import L1, Gates, Gradual, GroupLasso, Shrink
from kd.models import Recogniser
from kd.propagation.budget import Cost, choose_least_within
from kd.propagation.operators import Propagated, keep_units, propagate
from kd.propagation.scheduled.gates import GatePressure, folded
from kd.propagation.scheduled.gradual import InSteps, require_more_zeros
from kd.propagation.scheduled.hard_concrete import at_rest
from kd.propagation.scheduled.method import Knowledge, Method
from kd.propagation.scheduled.penalties import PenaltyPressure, coupled, group_lasso, l1
from kd.propagation.scheduled.removal import chosen, learnt_dimensions
from kd.propagation.scheduled.sizes import Sizes
from kd.training.weight_hook import WeightHook


class LearntGates:
    """Gates are learnt, then multiplied into the weights, and the units of the least gates removed."""

    anew = True

    def __init__(self, settings: Gates, start: Propagated, knows: Knowledge) -> None:
        self.settings = settings
        self.cuts: tuple[int, ...] = (settings.epochs,)
        dimensions = learnt_dimensions(start.model, settings.dims)
        chosen(
            Sizes.of(start.model, dimensions),
            {d.name: torch.zeros(d.size) for d in dimensions},
            settings.sparsity,
            settings.of,
        )

    def pressure(self, model: Recogniser, steps: int, seed: int) -> GatePressure:
        return GatePressure(model, self.settings, steps, seed)

    def cut(self, source: Propagated, pressure: WeightHook, number: int) -> Propagated:
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
        self.settings, self.start, self.knows = settings, start.model.settings, knows
        self.cuts: tuple[int, ...] = (settings.epochs,)
        if knows.begins:
            self._choose(start.model)

    def pressure(self, model: Recogniser, steps: int, seed: int) -> PenaltyPressure:
        penalty = partial(group_lasso, dimensions=learnt_dimensions(model, self.settings.dims))
        return PenaltyPressure(model, penalty, self.settings.weight)

    def cut(self, source: Propagated, pressure: WeightHook, number: int) -> Propagated:
        choice = broadcast_object_list([self._choose(source.model)])[0]  # a time is not the same in every process
        to = "" if self.settings.budget is None else f" to {self.settings.budget}"
        return keep_units(source, choice, f"remove units by group lasso{to}")

    @cached_property
    def _cost(self) -> Cost:
        assert self.settings.budget is not None
        return self.knows.cost(self.start, self.settings.dims, self.settings.budget)

    def _choose(self, model: Recogniser) -> dict[str, Tensor]:
        dimensions = learnt_dimensions(model, self.settings.dims)
        parameters = {name: p.detach() for name, p in model.named_parameters()}
        means = {d.name: squares / count for d in dimensions for squares, count in [coupled(parameters, d)]}
        if self.settings.budget is not None:
            return choose_least_within(model, means, self._cost, self.settings.budget)
        assert self.settings.sparsity is not None
        return chosen(Sizes.of(model, dimensions), means, self.settings.sparsity, self.settings.of)


class PenalisedWeights:
    """Weights are drawn to zero; then the least are set to zero and stay so."""

    anew = True

    def __init__(self, settings: L1, start: Propagated, knows: Knowledge) -> None:
        require_more_zeros(start, settings.sparsity)
        self.settings = settings
        self.cuts: tuple[int, ...] = (settings.epochs,)

    def pressure(self, model: Recogniser, steps: int, seed: int) -> PenaltyPressure:
        return PenaltyPressure(model, l1, self.settings.weight)

    def cut(self, source: Propagated, pressure: WeightHook, number: int) -> Propagated:
        return propagate(source, [PruneWeights(op="prune_weights", sparsity=self.settings.sparsity)])


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
