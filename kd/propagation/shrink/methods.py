"""How a student shrinks: after which epochs, under what penalty until then, and what goes."""

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

import torch
from accelerate.utils import broadcast_object_list
from torch import Tensor

from kd.config.propagation import PruneWeights
from kd.config.shrink import L1, Gates, Gradual, GroupLasso, Shrink
from kd.models import Recogniser
from kd.propagation.budget import Cost, choose_least_within
from kd.propagation.choice import dimensions_of, keep_by_sparsity
from kd.propagation.operators import Propagated, keep_units, propagate
from kd.propagation.shrink.gates import GatePenalty, folded
from kd.propagation.shrink.gradual import StepwisePruning, require_more_zeros
from kd.propagation.shrink.hard_concrete import at_rest
from kd.propagation.shrink.method import Method, ShrinkContext
from kd.propagation.shrink.penalties import SparsityPenalty, coupled, group_lasso, l1
from kd.propagation.sizes import Sizes
from kd.training.weight_hook import WeightHook


class LearntGates:
    """Gates are learnt, then multiplied into the weights, and the units of the least gates removed."""

    anew = True

    def __init__(self, settings: Gates, start: Propagated, context: ShrinkContext) -> None:
        self.settings = settings
        self.cuts: tuple[int, ...] = (settings.epochs,)
        dimensions = dimensions_of(start.model, settings.dims)
        keep_by_sparsity(
            Sizes.of(start.model, dimensions),
            {d.name: torch.zeros(d.size) for d in dimensions},
            settings.sparsity,
            settings.of,
        )

    def weight_hook(self, model: Recogniser, steps: int, seed: int) -> GatePenalty:
        """New gates of the model's units, learnt until the cut."""
        return GatePenalty(model, self.settings, steps, seed)

    def cut(self, source: Propagated, weight_hook: WeightHook, number: int) -> Propagated:
        """A new model with the gates in its weights, without the units of the least log alphas."""
        assert isinstance(weight_hook, GatePenalty)
        log_alpha_N = weight_hook.log_alpha_N.detach()
        gates = weight_hook.by_dimension(at_rest(log_alpha_N))
        choice = keep_by_sparsity(
            weight_hook.sizes, weight_hook.by_dimension(log_alpha_N), self.settings.sparsity, self.settings.of
        )
        model = folded(source.model, weight_hook.dimensions, gates)
        return keep_units(Propagated(model, source.masks, source.lineage, source.kept), choice, "remove units by gates")


class PenalisedUnits:
    """Units are drawn to zero; then those of the least root mean square go."""

    anew = True

    def __init__(self, settings: GroupLasso, start: Propagated, context: ShrinkContext) -> None:
        self.settings, self.start, self.context = settings, start.model.settings, context
        self.cuts: tuple[int, ...] = (settings.epochs,)
        if context.begins:
            self._choose(start.model)

    def weight_hook(self, model: Recogniser, steps: int, seed: int) -> SparsityPenalty:
        """A group lasso over the units of `dims`, of the settings' weight."""
        penalty = partial(group_lasso, dimensions=dimensions_of(model, self.settings.dims))
        return SparsityPenalty(model, penalty, self.settings.weight)

    def cut(self, source: Propagated, weight_hook: WeightHook, number: int) -> Propagated:
        """A new model without the units of the least root mean square; the same in every process."""
        choice = broadcast_object_list([self._choose(source.model)])[0]  # a time is not the same in every process
        to = "" if self.settings.budget is None else f" to {self.settings.budget}"
        return keep_units(source, choice, f"remove units by group lasso{to}")

    @cached_property
    def _cost(self) -> Cost:
        assert self.settings.budget is not None
        return self.context.cost(self.start, self.settings.dims, self.settings.budget)

    def _choose(self, model: Recogniser) -> dict[str, Tensor]:
        dimensions = dimensions_of(model, self.settings.dims)
        parameters = {name: p.detach() for name, p in model.named_parameters()}
        means = {d.name: squares / count for d in dimensions for squares, count in [coupled(parameters, d)]}
        if self.settings.budget is not None:
            return choose_least_within(model, means, self._cost, self.settings.budget)
        assert self.settings.sparsity is not None
        return keep_by_sparsity(Sizes.of(model, dimensions), means, self.settings.sparsity, self.settings.of)


class PenalisedWeights:
    """Weights are drawn to zero; then the least are set to zero and stay so."""

    anew = True

    def __init__(self, settings: L1, start: Propagated, context: ShrinkContext) -> None:
        require_more_zeros(start, settings.sparsity)
        self.settings = settings
        self.cuts: tuple[int, ...] = (settings.epochs,)

    def weight_hook(self, model: Recogniser, steps: int, seed: int) -> SparsityPenalty:
        """An L1 penalty on all weights of two or more axes, of the settings' weight."""
        return SparsityPenalty(model, l1, self.settings.weight)

    def cut(self, source: Propagated, weight_hook: WeightHook, number: int) -> Propagated:
        """A copy with masks of its least weights, which stay zero from now on."""
        return propagate(source, [PruneWeights(op="prune_weights", sparsity=self.settings.sparsity)])


METHODS: dict[type[Any], Callable[[Any, Propagated, ShrinkContext], Method]] = {
    Gates: LearntGates,
    GroupLasso: PenalisedUnits,
    L1: PenalisedWeights,
    Gradual: StepwisePruning,
}


def make_method(settings: Shrink, start: Propagated, context: ShrinkContext) -> Method:
    """Raises ValueError where the model cannot shrink so, before anything is trained."""
    try:
        return METHODS[type(settings)](settings, start, context)
    except ValueError as error:
        raise ValueError(f"shrink: {error}") from None
