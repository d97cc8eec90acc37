"""Settings of the objective: min E[ labels * L(f_s(x), y) + beta * L(f_s(x), f_t(x)) ]."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from kd.settings.base import Strict


class SoftTargets(Strict):
    """T^2 * KL(teacher || student) per valid frame (Hinton et al. 2015)."""

    name: Literal["soft_targets"] = "soft_targets"
    temperature: float = Field(2.0, gt=0)


class BlankSelected(Strict):
    """Soft targets on the frames where a CTC teacher says something; transcription only."""

    name: Literal["blank_selected"]
    temperature: float = Field(2.0, gt=0)
    dilation: int = Field(2, ge=0, description="frames on both sides of a spoken one that count too")


class GuidedCTC(Strict):
    """Draws the student's spikes into the teacher's frames; transcription only."""

    name: Literal["guided_ctc"]


class ShiftTolerant(Strict):
    """Soft targets with the delay that fits each utterance best; transcription only."""

    name: Literal["shift_tolerant"]
    temperature: float = Field(2.0, gt=0)
    max_delay: int = Field(2, ge=0, description="frames that the student may come later")
    softness: float = Field(0.0, ge=0, description="0: the least over delays; above: soft-least, in nats")


class Decoupled(Strict):
    """Decoupled distillation: the target against the rest, and the rest among itself."""

    name: Literal["decoupled"]
    temperature: float = Field(2.0, gt=0)
    target: float = Field(1.0, ge=0, description="weight of target against all others")
    others: float = Field(2.0, ge=0, description="weight of the others among themselves")


class Dist(Strict):
    """DIST: correlation within frames and within units; wants large batches."""

    name: Literal["dist"]
    temperature: float = Field(1.0, gt=0)
    between: float = Field(1.0, ge=0, description="weight of correlation over units")
    within: float = Field(1.0, ge=0, description="weight of correlation over the batch")


Match = Annotated[
    SoftTargets | BlankSelected | GuidedCTC | ShiftTolerant | Decoupled | Dist, Field(discriminator="name")
]

NEEDS_BLANK = ("blank_selected", "guided_ctc", "shift_tolerant")


class ObjectiveSettings(Strict):
    """What a student learns from: its labels, its teacher, or both."""

    labels: float = Field(1.0, ge=0, description="weight of the loss against the transcript or label")
    beta: float = Field(0.0, ge=0, description="weight of the loss against the teacher")
    match: Match = SoftTargets()

    @model_validator(mode="after")
    def _learns_from_something(self) -> Self:
        if self.labels == 0 and self.beta == 0:
            raise ValueError("labels and beta are both 0: nothing would be learnt")
        return self

    @model_validator(mode="after")
    def _match_is_used(self) -> Self:
        if self.beta == 0 and "match" in self.model_fields_set:
            raise ValueError("match is how a student learns from a teacher, but beta is 0: set beta, or remove match")
        return self

    @model_serializer(mode="wrap")
    def _without_what_is_unused(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = whole(self)
        return data if self.beta > 0 else {key: value for key, value in data.items() if key != "match"}

    def describe(self) -> str:
        """One word for tables: labels, teacher, or labels + teacher."""
        parts = ["labels"] * (self.labels > 0) + ["teacher"] * (self.beta > 0)
        return " + ".join(parts)
