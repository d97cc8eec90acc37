"""Settings of the operators O in f_s = f_t ⊕ O: pruning and slicing."""

import math
from collections.abc import Collection
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    WithJsonSchema,
    model_validator,
)

from kd.config.base import Strict

Scope = Literal["global", "kind", "layer"]
"""What is ranked together: all, the dimensions of each dim (`kind`), or each dimension by itself."""

Dim = Literal["layers", "width", "stem", "hidden", "heads", "feed_forward", "channels"]


def _count_or_share(amount: Any) -> Any:
    """1.0 is refused: as a share it keeps all, as a count it keeps one."""
    count = isinstance(amount, int) and amount >= 1
    share = isinstance(amount, float) and 0 < amount < 1
    if not (count or share):
        raise ValueError(
            f"{amount!r} is neither a count (a whole number from 1 on) nor a share (between 0 and 1): give one of them"
        )
    return amount


Amount = Annotated[
    int | float,
    BeforeValidator(_count_or_share),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "if": {"minimum": 1}, "then": {"type": "integer"}}),
]


class Random(Strict):
    """Drawn at random: what every other importance must beat."""

    by: Literal["random"]
    seed: int = Field(1, ge=0, description="of the draw")


class Magnitude(Strict):
    """Of the weights alone; `lamp` weighs each against the larger ones of its tensor, so that layers compare."""

    by: Literal["l1", "l2", "lamp"]


class NormScale(Strict):
    """The scale that a batch or layer norm gives a unit; only for dims that have a norm."""

    by: Literal["norm"]


class GeometricMedian(Strict):
    """How far a unit lies from the others of its dimension: the nearest are those that others can stand in for."""

    by: Literal["geometric_median"]


class Calibrated(Strict):
    """Seen on `batches` calibration batches of training audio with their labels.

    `taylor`: what removal changes, on all of them together; `fisher`: on each, changes of either sign adding up.
    """

    by: Literal["gradient", "taylor", "fisher", "activation"]
    batches: int = Field(8, ge=1, description="calibration batches of training audio")


class Movement(Strict):
    """Where weights go during `batches` steps of plain gradient descent, made on a copy."""

    by: Literal["movement"]
    batches: int = Field(32, ge=1, description="steps, each on a calibration batch")
    lr: float = Field(1e-3, gt=0, description="learning rate of these steps")


OF_LOSS = ("taylor", "fisher")
"""Importances that are squares of what the loss would change by: on one scale for units of all dims."""
DataDriven = Calibrated | Movement
Importance = Annotated[
    Random | Magnitude | NormScale | GeometricMedian | Calibrated | Movement,
    Field(discriminator="by", description="by what it is judged which weights, units or layers stay"),
]


USED_BY = {"importance": "importance", "seed": "random"}
"""Which way of choosing reads a key of Slice."""


class Slice(Strict):
    """Part of the source's layers and units becomes the student: a new, smaller model."""

    op: Literal["slice"]
    keep: dict[Dim, Amount] = Field(min_length=1, description="per dim: a count, or a share below 1")
    choose: Literal["random", "first", "last", "spaced", "importance"] = Field(
        "importance", description="which layers and units are kept; spaced: at even distances"
    )
    importance: Importance = Field(Magnitude(by="l2"), description="for choose: importance")
    seed: int = Field(1, ge=0, description="for choose: random")

    @model_validator(mode="after")
    def _all_is_used(self) -> Self:
        for key in self._unused:
            if key in self.model_fields_set:
                raise ValueError(f"{key} is for choose: {USED_BY[key]}, but choose is {self.choose}: remove {key}")
        return self

    @property
    def _unused(self) -> Collection[str]:
        return [key for key, choose in USED_BY.items() if choose != self.choose]

    @model_validator(mode="after")
    def _layers_compare(self) -> Self:
        _require_comparable(self.importance, self.keep)
        return self

    def count(self, dim: Dim, size: int) -> int:
        """Units kept of `size`: the count asked for, even where that is more, or the share rounded, at least one."""
        amount = self.keep[dim]
        return amount if isinstance(amount, int) else max(1, round(amount * size))


class PruneWeights(Strict):
    """Single weights of the least importance are set to zero and stay zero while training goes on."""

    op: Literal["prune_weights"]
    importance: Importance = Magnitude(by="l1")
    sparsity: float | None = Field(None, gt=0, lt=1, description="share of the weights to zero")
    threshold: float | None = Field(None, gt=0, description="zero whatever has less importance than this")
    pattern: tuple[int, int] | None = Field(
        None, description="N, M: of every M weights in a row along the input, the N most important stay"
    )
    scope: Literal["global", "layer"] = Field("global", description="ranked together: all weights, or a tensor's")

    @model_validator(mode="after")
    def _one_amount(self) -> Self:
        if self.pattern is None:
            require_one(sparsity=self.sparsity, threshold=self.threshold, pattern=None)
        elif self.sparsity is not None or self.threshold is not None:
            require_one(sparsity=self.sparsity, threshold=self.threshold, pattern=self.pattern)
        elif not 1 <= self.pattern[0] < self.pattern[1]:
            raise ValueError(f"pattern: {list(self.pattern)} is not N, M with 1 <= N < M, such as [2, 4]")
        elif self.scope != "global":
            raise ValueError("a pattern is kept in every row of every tensor: remove scope")
        return self

    @model_validator(mode="after")
    def _weights_are_no_units(self) -> Self:
        if self.importance.by in ("norm", "geometric_median"):
            raise ValueError(
                f"importance: {self.importance.by} is of whole units, not single weights: use prune_units, or another"
            )
        return self

    @property
    def _unused(self) -> Collection[str]:
        return self._without_value("pattern")


class Budget(Strict):
    """At most so much of one measure. size_bytes is that of the exported float32 file without a front end in it."""

    params: int | None = Field(None, ge=1, description="parameters of the model")
    size_bytes: int | None = Field(None, ge=1, description="of the exported float32 file")
    macs_per_audio_second: float | None = Field(
        None, gt=0, description="multiply-accumulates of the model for each second of audio, without the front end"
    )
    latency_ms: float | None = Field(None, gt=0, description="median of an utterance, one thread, front end counted")

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        if len(given := self._given) != 1:
            found = ", ".join(given) or "none"
            raise ValueError(f"give exactly one of {', '.join(type(self).model_fields)}; found {found}")
        return self

    @property
    def _unused(self) -> Collection[str]:
        return self._without_value(*type(self).model_fields)

    @property
    def _given(self) -> dict[str, float]:
        return {key: value for key in type(self).model_fields if (value := getattr(self, key)) is not None}

    @property
    def measure(self) -> str:
        return next(iter(self._given))

    @property
    def most(self) -> float:
        return self._given[self.measure]

    def at(self, most: float) -> "Budget":
        """Of the same measure, whole where that is counted."""
        whole = self.measure in ("params", "size_bytes")
        return Budget.model_validate({self.measure: math.floor(most) if whole else most})

    def __str__(self) -> str:
        return f"budget {self.measure} {self.most:,.12g}"


class PruneUnits(Strict):
    """Whole units of the least importance are removed: a new, smaller model, widths uneven by layer."""

    op: Literal["prune_units"]
    dims: tuple[Dim, ...] = Field(min_length=1, description="dims that may shrink")
    importance: Importance = Magnitude(by="l2")
    sparsity: float | None = Field(None, gt=0, lt=1, description="share of the units to remove")
    threshold: float | None = Field(None, gt=0, description="remove whatever has less importance than this")
    budget: Budget | None = Field(None, description="remove as few as meet it, by importance over cost")
    scope: Scope = Field("global", description="ranked together: all units, those of a dim (kind), or of a layer")
    cross_dim: Literal["equal", "loss"] = Field(
        "equal",
        description="of a budget, importance across dims: scaled to an equal mean, or as the loss "
        "gives it (taylor, fisher)",
    )

    @model_validator(mode="after")
    def _dims_compare(self) -> Self:
        if self.cross_dim == "loss" and (self.budget is None or self.importance.by not in OF_LOSS):
            raise ValueError(
                f"cross_dim: loss needs a budget, and an importance that is of the loss ({', '.join(OF_LOSS)}): give "
                "both, or remove cross_dim"
            )
        return self

    @model_validator(mode="after")
    def _one_amount(self) -> Self:
        if self.budget is None:
            require_one(sparsity=self.sparsity, threshold=self.threshold, budget=None)
        elif self.sparsity is not None or self.threshold is not None:
            require_one(sparsity=self.sparsity, threshold=self.threshold, budget=self.budget)
        elif self.scope != "global":
            raise ValueError("a budget ranks the units of all layers together: remove scope")
        return self

    @model_validator(mode="after")
    def _layers_compare(self) -> Self:
        _require_comparable(self.importance, self.dims)
        return self

    @property
    def _unused(self) -> Collection[str]:
        return [*self._without_value("budget"), *(["cross_dim"] if self.cross_dim == "equal" else [])]


LayerNumbers = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]


class Renew(Strict):
    """Parts get fresh random weights, the rest stays the source's: knowledge that is propagated in part."""

    op: Literal["renew"]
    layers: Literal["last"] | Annotated[int, Field(ge=1)] | LayerNumbers | None = Field(
        None, description="last: the last one; a count: as many of the last; a list: layers by their numbers from 0"
    )
    stem: bool = Field(False, description="renew the convolutional stem too")
    head: bool = Field(False, description="renew the output layer too")
    seed: int = Field(1, ge=0, description="of the new weights")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not (self.layers or self.stem or self.head):
            raise ValueError("renew nothing? Give layers, such as last, or stem: true, or head: true")
        if isinstance(self.layers, tuple) and len(set(self.layers)) != len(self.layers):
            raise ValueError(f"layers {list(self.layers)}: one of them occurs twice: remove it")
        return self

    def positions(self, count: int) -> list[int]:
        """Which of `count` layers, in rising order; below 0 or from `count` on where there are too few."""
        if isinstance(self.layers, tuple):
            return sorted(self.layers)
        last = 1 if self.layers == "last" else self.layers or 0
        return list(range(count - last, count))


def _require_comparable(importance: Importance, dims: Collection[Dim]) -> None:
    if importance.by == "geometric_median" and "layers" in dims:
        raise ValueError(
            "importance: geometric_median measures distances between units of one shape, and layers may differ in "
            "theirs: choose layers by another importance, in an operator of their own"
        )


def require_one(**amounts: object) -> None:
    """Raises ValueError unless exactly one is given."""
    given = [key for key, value in amounts.items() if value is not None]
    if len(given) != 1:
        raise ValueError(f"give exactly one of {', '.join(amounts)}; found {', '.join(given) or 'none'}")


Operator = Annotated[Slice | PruneWeights | PruneUnits | Renew, Field(discriminator="op")]
