"""Shrinking against the training that it happens in, and against the units that there are.

How many epochs a training in steps has is known only with its data: `kd.propagation.shrink.phases` checks those.
"""

from collections.abc import Iterator, Sequence

from kd.config.propagation import PruneUnits
from kd.config.shrink import Gradual, Shrink
from tasks.params.pipeline import Params
from tasks.params.trainings import training_of


def shrink_problems(params: Params) -> Iterator[str]:
    """Every student whose training leaves no room for its shrinking."""
    for name, recipe in params.students.items():
        if recipe.shrink is None:
            continue
        training, key = training_of(params, name), f"students.{name}.shrink"
        if training.epochs is not None and recipe.shrink.epochs >= training.epochs:
            yield (
                f"{key}.epochs: {recipe.shrink.epochs} of the training's {training.epochs} epochs "
                "leave none for the smaller model: lower it, or train longer"
            )
        if training.precision == "fp16":
            yield f"{key}: phases of training do not share the scale of precision fp16: use precision bf16 or no"
        looks_inside = recipe.objective.reads_states or recipe.objective.intermediate is not None
        if looks_inside and _removes_layers(recipe.shrink):
            yield f"{key}.prune.dims: layers would go that the objective looks at: shrink other dims"


def _removes_layers(shrink: Shrink) -> bool:
    return isinstance(shrink, Gradual) and isinstance(shrink.prune, PruneUnits) and "layers" in shrink.prune.dims


def too_many(operator: PruneUnits, ranked: Sequence[Sequence[int]]) -> str | None:
    """What is wrong where exactly so many units cannot go, since one of each dimension stays; None where they can.

    ranked: units of the dimensions that are ranked together.
    """
    if operator.sparsity is None or operator.scope == "layer":
        return None
    for dimensions in ranked:
        units = sum(dimensions)
        if (asked := round(operator.sparsity * units)) > units - len(dimensions):
            return f"{asked} of {units} units cannot go: one of each of {len(dimensions)} dimensions stays. Lower it"
    return None
