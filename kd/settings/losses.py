"""Settings of the objective: min E[ labels * L(f_s(x), y) + beta * L(f_s(x), f_t(x)) ]."""

from typing import Literal, Self

from pydantic import Field, model_validator

from kd.settings.base import Strict


class SoftTargets(Strict):
    """T^2 * KL(teacher || student) per valid frame (Hinton et al. 2015)."""

    name: Literal["soft_targets"] = "soft_targets"
    temperature: float = Field(2.0, gt=0)


class ObjectiveSettings(Strict):
    """What a student learns from: its labels, its teacher, or both."""

    labels: float = Field(1.0, ge=0, description="weight of the loss against the transcript or label")
    beta: float = Field(0.0, ge=0, description="weight of the loss against the teacher")
    match: SoftTargets = SoftTargets()

    @model_validator(mode="after")
    def _learns_from_something(self) -> Self:
        if self.labels == 0 and self.beta == 0:
            raise ValueError("labels and beta are both 0: nothing would be learnt")
        return self

    def describe(self) -> str:
        """One word for tables: labels, teacher, or labels + teacher."""
        parts = ["labels"] * (self.labels > 0) + ["teacher"] * (self.beta > 0)
        return " + ".join(parts)
