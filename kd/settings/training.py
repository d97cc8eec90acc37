"""Settings of one training run."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from kd.settings.base import Strict
from kd.settings.length import Length, steps_for

Rate = Annotated[float, Field(gt=0, description="peak learning rate")]


class SGD(Strict):
    name: Literal["sgd"]
    rate: Rate
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0)


class Adam(Strict):
    name: Literal["adam"]
    rate: Rate
    weight_decay: float = Field(0.0, ge=0)


class AdamW(Strict):
    name: Literal["adamw"]
    rate: Rate
    weight_decay: float = Field(0.01, ge=0)


class RMSprop(Strict):
    name: Literal["rmsprop"]
    rate: Rate
    momentum: float = Field(0.0, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0)


Optimiser = Annotated[SGD | Adam | AdamW | RMSprop, Field(discriminator="name")]


class Constant(Strict):
    name: Literal["constant"]
    warmup_share: float = Field(0.0, ge=0, lt=1, description="share of all steps spent rising from 0")


class Cosine(Strict):
    name: Literal["cosine"]
    warmup_share: float = Field(0.1, ge=0, lt=1)
    floor: float = Field(0.02, ge=0, le=1, description="final rate as a share of the peak")


class Step(Strict):
    name: Literal["step"]
    warmup_share: float = Field(0.0, ge=0, lt=1)
    every_share: float = Field(0.3, gt=0, le=1, description="share of all steps between two drops")
    factor: float = Field(0.3, gt=0, lt=1)


Schedule = Annotated[Constant | Cosine | Step, Field(discriminator="name")]


class TrainingSettings(Strict):
    """Its length is given in epochs or in steps; where in neither, `kd.settings.length.steps_for` chooses the steps."""

    epochs: int | None = Field(None, ge=1, description="how often all training audio is heard; or give steps")
    steps: int | None = Field(None, ge=1, description="of the optimiser, in all; or give epochs")
    batch_seconds: float = Field(gt=0, description="audio per batch, before padding")
    optimiser: Optimiser = AdamW(name="adamw", rate=2e-3)
    schedule: Schedule = Cosine(name="cosine")
    clip_norm: float | None = Field(5.0, gt=0, description="largest gradient norm; null: no clipping")
    averaging: float | None = Field(
        None, gt=0, lt=1, description="decay a step of the moving average of weights that is used; null: none"
    )
    patience: int | None = Field(None, ge=1, description="epochs without a better validation error before stopping")
    seed: int = Field(1, ge=0)
    threads: int = Field(1, ge=1, description="threads of torch; weights differ in their last bits with it")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["no", "fp16", "bf16"] = Field("no", description="mixed precision")
    quantised: Literal["no", "int8"] = Field("no", description="int8: layers round as in the exported 8-bit forms")

    @model_serializer(mode="wrap")
    def _without_what_is_unused(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        unused = {key for key in ("epochs", "steps", "averaging") if getattr(self, key) is None}
        return {key: value for key, value in whole(self).items() if key not in unused}

    def lasting(self, hours: float) -> Self:
        """With steps for so many hours of training speech, where no length was given."""
        if self.epochs is not None or self.steps is not None:
            return self
        return self.model_copy(update={"steps": steps_for(hours)})

    def length(self, per_epoch: int) -> Length:
        """In epochs of so many batches. Raises ValueError where no length was given."""
        if self.epochs is not None:
            return Length(self.epochs * per_epoch, per_epoch)
        if self.steps is None:
            raise ValueError("the training has neither epochs nor steps: give one, or choose with lasting(hours)")
        return Length(self.steps, per_epoch)

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.epochs is not None and self.steps is not None:
            raise ValueError(
                f"found both epochs: {self.epochs} and steps: {self.steps}: give one of them, or neither to have the "
                "steps chosen by the hours of speech"
            )
        return self

    @model_validator(mode="after")
    def _rounding_needs_32_bits(self) -> Self:
        if self.quantised != "no" and self.precision != "no":
            raise ValueError(
                f"quantised {self.quantised} rounds 32-bit values, found precision {self.precision}: use no"
            )
        return self

    @model_validator(mode="after")
    def _half_precision_needs_a_gpu(self) -> Self:
        if self.precision == "fp16" and self.device == "cpu":
            raise ValueError("precision fp16 needs a GPU, but device is cpu: use bf16 or no")
        return self
