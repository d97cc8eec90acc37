"""Settings of the objective: label_weight L(f_s(x), y) + beta sum_i w_i L_i(f_s(x), f_t(x)) + self-distillation."""

from collections import Counter
from collections.abc import Collection
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from kd.config.base import Strict
from kd.config.schedules import Ramp, Temperature, Weight, at, fixed, largest
from kd.config.self_distillation import ConsistencyCTC, IntermediateCTC, SelfDistillation

FRAME_RATIOS = (1, 2, 4, 8)
"""How many frames of the faster of two recognisers one of the slower's may be: see kd/training/frame_rates.py."""

Layer = Annotated[int, Field(ge=1)]


class _Weighted(Strict):
    weight: float = Field(1.0, gt=0, description="its weight beside other losses")


class Tempered(_Weighted):
    """A loss between distributions softmax(logits / temperature)."""

    temperature: Temperature = 2.0
    standardise: bool = Field(False, description="logits of each frame are given mean 0 and deviation 1 before")

    @property
    def t(self) -> float:
        """The temperature as a number; see `ObjectiveSettings.at`."""
        return fixed(self.temperature)


class SoftTargets(Tempered):
    """T^2 * KL(teacher || student) per valid frame (Hinton et al. 2015)."""

    name: Literal["soft_targets"] = "soft_targets"


class BlankSelected(Tempered):
    """Soft targets on the frames where a CTC teacher does not emit the blank; transcription only."""

    name: Literal["blank_selected"]
    dilation: int = Field(2, ge=0, description="frames on both sides of a spoken one that count too")


class GuidedCTC(_Weighted):
    """Draws the student's spikes into the teacher's frames; transcription only."""

    name: Literal["guided_ctc"]


class ShiftTolerant(Tempered):
    """Soft targets with the delay that fits each utterance best; transcription only."""

    name: Literal["shift_tolerant"]
    max_delay: int = Field(2, ge=0, description="frames that the student may come later")
    softness: float = Field(0.0, ge=0, description="0: the least over delays; above: soft-least, in nats")


class Decoupled(Tempered):
    """Decoupled distillation: the target against the rest, and the rest among itself."""

    name: Literal["decoupled"]
    target: float = Field(1.0, ge=0, description="weight of target against all others")
    others: float = Field(2.0, ge=0, description="weight of the others among themselves")


class Dist(Tempered):
    """DIST: correlation within frames and within units; wants large batches."""

    name: Literal["dist"]
    temperature: Temperature = 1.0
    between: float = Field(1.0, ge=0, description="weight of correlation over units")
    within: float = Field(1.0, ge=0, description="weight of correlation over the batch")


class FromHypotheses(_Weighted):
    """CTC, or for keywords cross-entropy, against what the teacher believes was said, as text."""

    name: Literal["hypotheses"]
    n_best: int = Field(1, ge=1, description="hypotheses an utterance, weighted by their probabilities")
    beam: int = Field(1, ge=1, description="prefixes kept in the search for them; 1: the best path, unsearched")

    @model_validator(mode="after")
    def _beam_holds_them(self) -> Self:
        if self.n_best > self.beam:
            raise ValueError(
                f"a beam of {self.beam} cannot give {self.n_best} hypotheses: widen beam to {self.n_best} or more"
            )
        return self


class Features(_Weighted):
    """Inner states of the student, each through a linear projection of its own, next to the teacher's."""

    name: Literal["features"]
    layers: int | None = Field(
        None, ge=1, description="pairs of layers, evenly spaced, last with last; null: 2, or 1 where either has only 1"
    )
    pairs: tuple[tuple[Layer, Layer], ...] | None = Field(
        None, min_length=1, description="[student's layer, teacher's layer] in place of layers; the first is 1"
    )
    l1: float = Field(1.0, ge=0, description="weight of the mean absolute difference")
    cosine: float = Field(1.0, ge=0, description="weight of 1 - cosine")
    mse: float = Field(0.0, ge=0, description="weight of the mean squared difference, FitNet's")
    projections: Literal["random", "identity"] = Field(
        "random",
        description="how they begin; identity: as if there were none, for a student that begins as its teacher "
        "(random where the two differ in width)",
    )

    @model_validator(mode="after")
    def _compares_something(self) -> Self:
        if self.layers is not None and self.pairs is not None:
            raise ValueError("layers spaces the pairs evenly, pairs names each: remove one of them")
        if self.l1 == self.cosine == self.mse == 0:
            raise ValueError("l1, cosine and mse are all 0, and nothing would be compared: raise one")
        return self


class Relational(_Weighted):
    """RKD: distances and angles between the utterances of a batch, as student and teacher embed them."""

    name: Literal["relational"]
    distance: float = Field(1.0, ge=0, description="weight of distances; needs two utterances in a batch")
    angle: float = Field(2.0, ge=0, description="weight of angles; needs three; time and memory grow with their cube")

    @model_validator(mode="after")
    def _compares_something(self) -> Self:
        if self.distance == self.angle == 0:
            raise ValueError("distance and angle are both 0, and nothing would be compared: raise one")
        return self


OneDistillLoss = Annotated[
    SoftTargets | BlankSelected | GuidedCTC | ShiftTolerant | Decoupled | Dist | FromHypotheses | Features | Relational,
    Field(discriminator="name"),
]


def _how_many(value: Any) -> str:
    return "[several]" if isinstance(value, list | tuple) else "[one]"


DistillLosses = Annotated[
    Annotated[OneDistillLoss, Tag("[one]")] | Annotated[tuple[OneDistillLoss, ...], Tag("[several]")],
    Discriminator(_how_many),
]

NEEDS_BLANK = ("blank_selected", "guided_ctc", "shift_tolerant")


Align = Literal["maximum", "strongest"]


class ObjectiveSettings(Strict):
    """What a model learns from: its labels, its teacher, and itself (self-distillation)."""

    label_weight: float = Field(1.0, ge=0, description="weight of the loss against the transcript or label")
    beta: Weight = Field(0.0, description="weight of the losses against the teacher")
    distill: DistillLosses = Field(
        SoftTargets(), description="how student and teacher are compared; a list: in several ways"
    )
    align: Align = Field(
        "maximum",
        description="where student and teacher differ in frame rate: how several frames of the faster one become one "
        "frame of the slower. maximum: each unit's largest probability among them and the blank's least, normalised; "
        "strongest: the one of them with the least probable blank, as it is",
    )
    self_distillation: tuple[SelfDistillation, ...] = Field((), description="self-distillation")

    @model_validator(mode="after")
    def _learns_from_something(self) -> Self:
        if self.label_weight == 0 and not self.uses_teacher:
            raise ValueError("label_weight and beta are both 0, and nothing would be learnt: raise one")
        return self

    @model_validator(mode="after")
    def _distill_is_used(self) -> Self:
        if not self.distill_losses:
            raise ValueError("distill is an empty list: name a loss, or remove distill")
        for key in ("distill", "align"):
            if not self.uses_teacher and key in self.model_fields_set:
                raise ValueError(
                    f"{key} is how a student learns from a teacher, but beta is 0: set beta, or remove {key}"
                )
        return self

    @model_validator(mode="after")
    def _each_loss_once(self) -> Self:
        for key, losses in (("distill", self.distill_losses), ("self_distillation", self.self_distillation)):
            if again := [name for name, count in Counter(loss.name for loss in losses).items() if count > 1]:
                raise ValueError(f"{key} names {again[0]} more than once: write it once, with a larger weight")
        return self

    @model_validator(mode="after")
    def _inner_layers_have_labels(self) -> Self:
        if self.label_weight == 0 and self.intermediate is not None:
            raise ValueError("intermediate_ctc learns from labels, but label_weight is 0: set it, or remove the loss")
        return self

    @property
    def _unused(self) -> Collection[str]:
        unused = [] if self.uses_teacher else ["distill", "align"]
        return unused if self.self_distillation else [*unused, "self_distillation"]

    @property
    def distill_losses(self) -> tuple[OneDistillLoss, ...]:
        """How student and teacher are compared, one way or several."""
        return self.distill if isinstance(self.distill, tuple) else (self.distill,)

    @property
    def uses_teacher(self) -> bool:
        return largest(self.beta) > 0

    @property
    def features(self) -> Features | None:
        """Settings of the comparison of inner states, if there is one."""
        return next((distill for distill in self.distill_losses if isinstance(distill, Features)), None)

    @property
    def reads_states(self) -> bool:
        """Whether the teacher must show its inner states, and so run beside the student."""
        return self.uses_teacher and any(isinstance(distill, Features | Relational) for distill in self.distill_losses)

    @property
    def teaches_head(self) -> bool:
        """Whether any loss reaches the output layer: those between inner states alone leave it as it was."""
        by_outputs = any(not isinstance(distill, Features | Relational) for distill in self.distill_losses)
        return self.label_weight > 0 or bool(self.self_distillation) or (self.uses_teacher and by_outputs)

    @property
    def two_views(self) -> ConsistencyCTC | None:
        """Settings of the consistency between two views, if they are to be compared."""
        return next((one for one in self.self_distillation if isinstance(one, ConsistencyCTC)), None)

    @property
    def intermediate(self) -> IntermediateCTC | None:
        """Settings of CTC at inner layers, if there is any."""
        return next((one for one in self.self_distillation if isinstance(one, IntermediateCTC)), None)

    @property
    def beta_now(self) -> float:
        """beta as a number; see `at`."""
        return fixed(self.beta)

    def at(self, epoch: int) -> Self:
        """This objective in an epoch (from 0), with a number in place of each schedule."""
        beta = {"beta": at(self.beta, epoch)} if isinstance(self.beta, Ramp) else {}
        return self.model_copy(
            update={**beta, "distill": tuple(_at(distill, epoch) for distill in self.distill_losses)}
        )

    def describe(self) -> str:
        """A few words for tables: labels, teacher, labels + teacher, labels + self-distillation."""
        parts = (
            ("labels", self.label_weight > 0),
            ("teacher", self.uses_teacher),
            ("self-distillation", bool(self.self_distillation)),
        )
        return " + ".join(name for name, used in parts if used)


def _at(distill: OneDistillLoss, epoch: int) -> OneDistillLoss:
    if isinstance(distill, Tempered) and isinstance(distill.temperature, Ramp):
        return distill.model_copy(update={"temperature": at(distill.temperature, epoch)})
    return distill
