"""Numbers that may change from epoch to epoch: `2.0`, or `{from: 4.0, to: 1.0, epochs: 10}`."""

from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from kd.config.base import Strict


def _no_boolean(value: Any) -> Any:
    """`Strict` looks for booleans only in fields that hold numbers and nothing else."""
    if isinstance(value, bool):
        raise PydanticCustomError("boolean", "a number is expected, not true or false")
    return value


NonNegative = Annotated[float, Field(ge=0), BeforeValidator(_no_boolean)]
Positive = Annotated[float, Field(gt=0), BeforeValidator(_no_boolean)]


class Ramp(Strict):
    """In a straight line from one value, in the first epoch, to another, `epochs` later; then constant."""

    model_config = ConfigDict(serialize_by_alias=True)

    start: NonNegative = Field(alias="from", description="value in the first epoch")
    end: NonNegative = Field(alias="to", description="value after `epochs` epochs, and from then on")
    epochs: int = Field(ge=1, description="epochs from the first value to the last")

    def at(self, epoch: int) -> float:
        """The value in an epoch, counted from 0."""
        return self.start + (self.end - self.start) * min(epoch / self.epochs, 1.0)


class PositiveRamp(Ramp):
    """In a straight line from one value above 0, in the first epoch, to another, `epochs` later; then constant."""

    start: Positive = Field(alias="from", description="value in the first epoch")
    end: Positive = Field(alias="to", description="value after `epochs` epochs, and from then on")


def _form(value: Any) -> str:
    return "[schedule]" if isinstance(value, dict | Ramp) else "[number]"


# A weight, and a temperature, each fixed or scheduled.
Weight = Annotated[Annotated[NonNegative, Tag("[number]")] | Annotated[Ramp, Tag("[schedule]")], Discriminator(_form)]
Temperature = Annotated[
    Annotated[Positive, Tag("[number]")] | Annotated[PositiveRamp, Tag("[schedule]")],
    Discriminator(_form),
    Field(description="logits of student and teacher are divided by it before the softmax: above 1, softer posteriors"),
]


def largest(value: float | Ramp) -> float:
    """The largest value it ever has."""
    return max(value.start, value.end) if isinstance(value, Ramp) else value


def at(value: float | Ramp, epoch: int) -> float:
    """Its value in an epoch, counted from 0."""
    return value.at(epoch) if isinstance(value, Ramp) else value


def fixed(value: float | Ramp) -> float:
    """A number that is no schedule any more. Raises ValueError for one that still is."""
    if isinstance(value, Ramp):
        raise ValueError(f"{value} has no value until an epoch is chosen: take the objective `at` an epoch first")
    return value
