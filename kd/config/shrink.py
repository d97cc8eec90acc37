"""Settings of shrinking: a student is made sparse while it is trained, made smaller, and trained on."""

from collections.abc import Collection
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from kd.config.base import Strict
from kd.config.propagation import Budget, Dim, PruneUnits, PruneWeights, require_one


class _Shrinking(Strict):
    epochs: int = Field(ge=1, description="of the student's training until it has its final size")


class _LearnsUnits(_Shrinking):
    dims: tuple[Dim, ...] = Field(min_length=1, description="dims that may shrink")
    of: Literal["params", "units"] = Field(
        "params", description="a share of the model's parameters, or of the units of these dims"
    )

    @model_validator(mode="after")
    def _layers_are_no_units(self) -> Self:
        if "layers" in self.dims:
            raise ValueError("dims: gates and penalties are of units, and layers are none: shrink them by how: gradual")
        return self


class Gates(_LearnsUnits):
    """Hard-concrete gates of units, learnt beside the weights under a constraint on the expected size."""

    how: Literal["gates"]
    sparsity: float = Field(gt=0, lt=1, description="share to remove")
    lr: float = Field(0.05, gt=0, description="learning rate of the gates, and of the constraint's multipliers")
    ramp_share: float = Field(0.5, gt=0, le=1, description="share of these epochs in which the target rises from 0")


class GroupLasso(_LearnsUnits):
    """A penalty on the norm of each unit's weights draws whole units to zero; the least are removed."""

    how: Literal["group_lasso"]
    sparsity: float | None = Field(None, gt=0, lt=1, description="share to remove")
    budget: Budget | None = Field(None, description="remove as few as meet it")
    weight: float = Field(
        1e-3,
        gt=0,
        description="of the penalty; about the pull on each weight. Left out, it is 0.001 in a transcription problem "
        "and 0.0001 in a keyword problem (docs/results/lasso-weight-keyword.md)",
    )

    @model_validator(mode="after")
    def _one_amount(self) -> Self:
        require_one(sparsity=self.sparsity, budget=self.budget)
        if self.budget is not None and "of" in self.model_fields_set:
            raise ValueError("of is for sparsity: a budget names its measure itself. Remove of")
        return self

    @property
    def _unused(self) -> Collection[str]:
        return ["budget" if self.budget is None else "of"]


class L1(_Shrinking):
    """A penalty on the size of each weight; the least are zeroed, and stay so."""

    how: Literal["l1"]
    sparsity: float = Field(gt=0, lt=1, description="share of the weights to zero")
    weight: float = Field(1e-4, gt=0, description="of the penalty: the pull on each weight")


class Gradual(_Shrinking):
    """Pruning in steps with training between, along a cubic schedule."""

    how: Literal["gradual"]
    steps: int = Field(ge=2, description="how often it is pruned, at even distances in these epochs")
    prune: Annotated[PruneUnits | PruneWeights, Field(discriminator="op", description="the operator it ends at")]

    @model_validator(mode="after")
    def _can_be_stepped(self) -> Self:
        budget = self.prune.budget if isinstance(self.prune, PruneUnits) else None
        if self.prune.sparsity is None and budget is None:
            raise ValueError("prune: the steps lead to a sparsity, or of units to a budget: give one")
        if budget is not None and budget.measure == "latency_ms":
            raise ValueError(
                "prune.budget: a time differs at each step: name params, size_bytes or macs_per_audio_second"
            )
        if self.steps > self.epochs:
            raise ValueError(
                f"steps: {self.steps} do not fit into {self.epochs} epochs, one between two steps: use fewer"
            )
        dims = self.prune.dims if isinstance(self.prune, PruneUnits) and budget is None else ()
        if "layers" in dims and len(dims) > 1:
            raise ValueError(
                "prune.dims: units go with their layers: shrink layers alone, or other dims, or all to a budget"
            )
        return self


def as_operator(shrink: "Gates | GroupLasso | L1 | Gradual") -> tuple[str, PruneUnits | PruneWeights]:
    """The operator that would bound sizes as shrinking does, and the key under which a recipe has its settings."""
    if isinstance(shrink, Gradual):
        return "shrink.prune", shrink.prune
    if isinstance(shrink, L1):
        return "shrink", PruneWeights(op="prune_weights", sparsity=shrink.sparsity)
    of_units = shrink.sparsity is not None and shrink.of == "units"
    amount = {"sparsity": shrink.sparsity} if of_units else {"threshold": 1.0}
    return "shrink", PruneUnits.model_validate({"op": "prune_units", "dims": shrink.dims, **amount})


Shrink = Annotated[Gates | GroupLasso | L1 | Gradual, Field(discriminator="how")]


KEYWORD_LASSO_WEIGHT = 1e-4
"""Chosen by validation: ten times as much ruins keyword recognisers, a tenth does as well.

docs/results/lasso-weight-keyword.md has the figures.
"""


def for_problem(shrink: Shrink, problem: str) -> Shrink:
    """With the default weight of group lasso for keywords, whose loss is about a tenth of a transcript's."""
    if isinstance(shrink, GroupLasso) and problem == "keyword" and "weight" not in shrink.model_fields_set:
        return shrink.model_copy(update={"weight": KEYWORD_LASSO_WEIGHT})
    return shrink
