"""The algebra: f_s = f_t ⊕ O1 ⊕ O2 …, each operator a function from a model to a new model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from kd.config.propagation import DataDriven, Operator, PruneUnits, PruneWeights, Renew, Slice
from kd.models import Recogniser
from kd.models.masks import apply_masks
from kd.propagation.budget import Cost, Costs, choose_within, cost_within
from kd.propagation.calibration import CalibrationStatistics
from kd.propagation.choice import comparable, dimensions_of, with_worth_of_dims
from kd.propagation.compose import NEW
from kd.propagation.importance import score_units, weight_worth
from kd.propagation.pruning import choose_units, weight_masks
from kd.propagation.reinit import parts_to_renew, renewed
from kd.propagation.select import LAYERS, apply, apply_to_tensors
from kd.propagation.slicing import choose_slice


@dataclass(frozen=True)
class Propagated:
    """A model on its way through operators.

    masks: weights that stay zero (bool, true = alive), by parameter name. lineage: one line for each
    operator. kept: for each operator, indices kept by dimension (empty where no unit was removed), and what it
    made new: positions in `new.layers`, [0] in `new.stem` and `new.head`. See `compose` for their composition.
    """

    model: Recogniser
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    lineage: tuple[str, ...] = ()
    kept: tuple[Mapping[str, list[int]], ...] = ()


# Gives what an importance needs to know of a model's weights from calibration batches; see `calibration.gather`.
Calibrate = Callable[[Recogniser, DataDriven], CalibrationStatistics]


def propagate(
    source: Propagated,
    operators: Sequence[Operator],
    calibrate: Calibrate | None = None,
    costs: Costs | None = None,
) -> Propagated:
    """Apply operators in order; `source` is untouched. costs: for budgets.

    Raises ValueError where an operator asks for what the model does not have, leaves it as it was, breaks an N:M
    pattern, or needs calibration batches and none are given.
    """
    _require_patterns_last(operators)
    for operator in operators:
        statistics = statistics_for(source.model, operator, calibrate)
        if isinstance(operator, PruneUnits) and operator.budget is not None:
            source = _within_budget(source, operator, statistics, costs)
        else:
            source = APPLY[type(operator)](source, operator, statistics)
    return source


def _slice(source: Propagated, operator: Slice, statistics: CalibrationStatistics | None) -> Propagated:
    choice = choose_slice(source.model, operator, statistics)
    _require_removal(source.model, choice, f"slice: keep fewer {' or '.join(operator.keep)}")
    how = f"by {operator.importance.by}" if operator.choose == "importance" else operator.choose
    return keep_units(source, choice, f"slice {how}")


def _prune_units(source: Propagated, operator: PruneUnits, statistics: CalibrationStatistics | None) -> Propagated:
    choice = choose_units(source.model, operator, statistics)
    _require_removal(source.model, choice, f"prune_units: {_remedy(operator)}")
    return keep_units(source, choice, f"prune units by {operator.importance.by}")


def _within_budget(
    source: Propagated, operator: PruneUnits, statistics: CalibrationStatistics | None, costs: Costs | None
) -> Propagated:
    assert operator.budget is not None
    dimensions_of(source.model, operator.dims)  # what the model has not is refused before anything is timed
    cost = cost_within(costs, source.model.settings, operator.dims, operator.budget)
    choice = choice_within(source.model, operator, statistics, cost)
    return keep_units(source, choice, f"prune units by {operator.importance.by} to {operator.budget}")


def choice_within(
    model: Recogniser, operator: PruneUnits, statistics: CalibrationStatistics | None, cost: Cost
) -> dict[str, Tensor]:
    """Units kept by dimension, where an operator has a budget; ValueError as `choose_within` raises it."""
    assert operator.budget is not None
    dimensions, importance = dimensions_of(model, operator.dims), operator.importance
    raw = score_units(model, dimensions, importance, statistics)
    scores = {name: comparable(units) for name, units in raw.items()}
    if operator.cross_dim == "loss":
        scores = with_worth_of_dims(dimensions, raw, scores)
    return choose_within(model, scores, weight_worth(model, importance, statistics), cost, operator.budget)


def _prune_weights(source: Propagated, operator: PruneWeights, statistics: CalibrationStatistics | None) -> Propagated:
    masks = weight_masks(source.model, operator, statistics, alive=source.masks)
    alive = sum(int(mask.sum()) for mask in masks.values())
    if alive == sum(int(source.masks.get(name, torch.ones_like(mask)).sum()) for name, mask in masks.items()):
        raise ValueError(f"prune_weights zeroed nothing: {_remedy(operator)}")
    model = apply(source.model, {})
    apply_masks(model, masks)
    line = f"prune weights by {operator.importance.by}: {alive} of {sum(m.numel() for m in masks.values())} alive"
    return Propagated(model, masks, (*source.lineage, line), (*source.kept, {}))


def _renew(source: Propagated, operator: Renew, statistics: CalibrationStatistics | None) -> Propagated:
    """What is new is dense: masks of its weights are dropped."""
    parts = parts_to_renew(source.model, operator)
    model, new = renewed(source.model, parts, operator.seed)
    names = ", ".join(f"layers {', '.join(map(str, at))}" if part == LAYERS else part for part, at in parts.items())
    masks = {name: mask for name, mask in source.masks.items() if name not in new}
    kept = {f"{NEW}{part}": places for part, places in parts.items()}
    return Propagated(model, masks, (*source.lineage, f"renew by seed {operator.seed}: {names}"), (*source.kept, kept))


# By settings: (source, its settings, statistics or None) -> Propagated. `propagate` takes all operators from here but
# PruneUnits with a budget, which needs costs too: `_within_budget`.
APPLY: dict[type[Any], Callable[[Propagated, Any, CalibrationStatistics | None], Propagated]] = {
    Slice: _slice,
    PruneUnits: _prune_units,
    PruneWeights: _prune_weights,
    Renew: _renew,
}


def keep_units(source: Propagated, choice: Mapping[str, Tensor], what: str) -> Propagated:
    """Apply a choice to a model and its masks; `what` begins the line that its lineage gains."""
    dimensions = source.model.dimensions()
    model = apply(source.model, choice)
    whole = {name: source.masks.get(name, torch.ones_like(p, dtype=torch.bool, device="cpu"))
             for name, p in source.model.named_parameters()} if source.masks else {}  # fmt: skip
    sliced = apply_to_tensors(whole, dimensions, choice)
    masks = {name: mask.bool() for name, mask in sliced.items() if not mask.all()}
    sizes = {d.name: d.size for d in dimensions}
    line = f"{what}: " + ", ".join(f"{name} {len(kept)}/{sizes[name]}" for name, kept in choice.items())
    kept = {name: indices.tolist() for name, indices in choice.items()}
    return Propagated(model, masks, (*source.lineage, line), (*source.kept, kept))


def _require_removal(model: Recogniser, choice: Mapping[str, Tensor], remedy: str) -> None:
    if all(len(choice[d.name]) == d.size for d in model.dimensions() if d.name in choice):
        raise ValueError(f"nothing would be removed by {remedy}")


def _require_patterns_last(operators: Sequence[Operator]) -> None:
    patterned = False
    for operator in operators:
        if patterned and not isinstance(operator, PruneWeights):
            raise ValueError(f"{operator.op} would break the runs of an N:M pattern: put the pattern last")
        patterned = patterned or (isinstance(operator, PruneWeights) and operator.pattern is not None)


def _remedy(operator: PruneUnits | PruneWeights) -> str:
    """What would make it prune more."""
    if isinstance(operator, PruneWeights) and operator.pattern is not None:
        return "give a sparser pattern than {}:{}".format(*operator.pattern)
    amount = f"threshold {operator.threshold:g}" if operator.sparsity is None else f"sparsity {operator.sparsity:g}"
    return f"raise its {amount}"


def statistics_for(model: Recogniser, operator: Operator, calibrate: Calibrate | None) -> CalibrationStatistics | None:
    """What an operator's importance needs to know; None where it needs nothing, or nobody can tell."""
    importance = None if isinstance(operator, Renew) else operator.importance
    if not isinstance(importance, DataDriven) or calibrate is None:
        return None
    return calibrate(model, importance)
