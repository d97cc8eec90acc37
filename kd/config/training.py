"""Settings of one training run."""

from collections.abc import Collection
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from kd.config.base import Strict
from kd.config.length import Length, averaging_for, patience_for, steps_for

LearningRate = Annotated[float, Field(gt=0, description="peak learning rate")]
Momentum = Annotated[float, Field(ge=0, lt=1, description="share of the last step that the next one goes on with")]
Decay = Annotated[float, Field(ge=0, description="weight decay: factor of the L2 penalty on the weights")]
Warmup = Annotated[
    float, Field(ge=0, lt=1, description="share of all steps in which the learning rate rises from 0 to its peak")
]


No = BeforeValidator(lambda value: "no" if value is False else value)
"""YAML reads a plain no as false."""


class SGD(Strict):
    """Stochastic gradient descent with momentum."""

    name: Literal["sgd"]
    lr: LearningRate
    momentum: Momentum = 0.9
    weight_decay: Decay = 0.0


class Adam(Strict):
    """Adam (Kingma & Ba 2015)."""

    name: Literal["adam"]
    lr: LearningRate
    weight_decay: Decay = 0.0


class AdamW(Strict):
    """Adam with weight decay apart from the gradient (Loshchilov & Hutter 2019)."""

    name: Literal["adamw"]
    lr: LearningRate
    weight_decay: Annotated[
        float,
        Field(
            ge=0,
            description="decoupled weight decay: a step takes this share, times the learning rate, off the weights",
        ),
    ] = 0.01


class RMSprop(Strict):
    """Gradients divided by the root of their mean square."""

    name: Literal["rmsprop"]
    lr: LearningRate
    momentum: Momentum = 0.0
    weight_decay: Decay = 0.0


Optimiser = Annotated[SGD | Adam | AdamW | RMSprop, Field(discriminator="name")]


class Constant(Strict):
    """The peak learning rate, after the warm-up."""

    name: Literal["constant"]
    warmup_share: Warmup = 0.0


class Cosine(Strict):
    """From the peak learning rate down to `floor` along half a cosine."""

    name: Literal["cosine"]
    warmup_share: Warmup = 0.1
    floor: float = Field(0.02, ge=0, le=1, description="final rate as a share of the peak")


class Step(Strict):
    """The learning rate drops by `factor` at even distances."""

    name: Literal["step"]
    warmup_share: Warmup = 0.0
    every_share: float = Field(0.3, gt=0, le=1, description="share of all steps between two drops")
    factor: float = Field(0.3, gt=0, lt=1, description="what the learning rate is multiplied by at each drop")


Schedule = Annotated[Constant | Cosine | Step, Field(discriminator="name")]


LEFT_OUT_AT_DEFAULT = ("head_lr", "layer_decay", "frozen_epochs", "gradient_checkpointing", "micro_batches")
"""Keys for weights that were trained before, or big models: at its default a dump and all digests leave each out."""


class TrainingSettings(Strict):
    """How long and by what steps a model is trained. Its length is given in epochs or in steps; where in neither, the
    hours of speech choose the steps (`kd.config.length.steps_for`), and with them the averaging and the patience that
    are null."""

    epochs: int | None = Field(None, ge=1, description="passes over the training part; or give steps")
    steps: int | None = Field(None, ge=1, description="of the optimiser, in all; or give epochs")
    batch_seconds: float = Field(gt=0, description="audio per batch, before padding")
    optimiser: Optimiser = Field(AdamW(name="adamw", lr=2e-3), description="with its learning rate")
    schedule: Schedule = Field(Cosine(name="cosine"), description="how the learning rate goes on from step to step")
    max_grad_norm: float | None = Field(5.0, gt=0, description="largest gradient norm; null: no clipping")
    head_lr: float | None = Field(None, gt=0, description="peak learning rate of the output layer; null: as the rest")
    layer_decay: float = Field(
        1.0,
        gt=0,
        le=1,
        description="a layer's learning rate as a share of that of the layer above it; for pre-trained weights",
    )
    frozen_epochs: int = Field(0, ge=0, description="epochs at the beginning in which the encoder's weights stay")
    gradient_checkpointing: bool = Field(
        False,
        description="activations are computed again on the way back: less memory, another pass of the layers (whisper)",
    )
    micro_batches: int = Field(
        1,
        ge=1,
        description="groups of a batch's utterances that pass one after another before a step: less memory, the same "
        "gradient (but batch norms, relational and dist see one group at a time)",
    )
    averaging: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="decay a step of the moving average of weights that is used; null: none, or chosen with the steps",
    )
    patience: int | None = Field(
        None,
        ge=1,
        description="epochs without a better validation error before stopping; null: never, or chosen with the steps",
    )
    seed: int = Field(1, ge=0, description="of new weights, the order of batches, augmentation and dropout")
    threads: int = Field(1, ge=1, description="threads of torch; weights differ in their last bits with it")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: a GPU where there is one")
    precision: Annotated[Literal["no", "fp16", "bf16"], No] = Field(
        "no",
        description="of a training step's arithmetic. no: 32 bits; fp16 (on a GPU alone) and bf16: mixed precision, "
        "where torch's autocast computes in 16 bits what it holds safe, and weights and optimiser keep 32",
    )
    qat: Annotated[Literal["no", "int8"], No] = Field(
        "no", description="int8: layers round as in the exported 8-bit forms"
    )

    @property
    def _unused(self) -> Collection[str]:
        defaults = [
            name for name in LEFT_OUT_AT_DEFAULT if getattr(self, name) == type(self).model_fields[name].default
        ]
        return [*self._without_value("epochs", "steps", "averaging"), *defaults]

    def lasting(self, hours: float) -> Self:
        """With steps, averaging and patience for so many hours of training speech, where no length was given."""
        if self.epochs is not None or self.steps is not None:
            return self
        length = Length(steps_for(hours), max(1, round(hours * 3600 / self.batch_seconds)))
        chosen = {"averaging": averaging_for(length.steps), "patience": patience_for(length)}
        return self.model_copy(
            update={"steps": length.steps} | {key: value for key, value in chosen.items() if getattr(self, key) is None}
        )

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
        if self.qat != "no" and self.precision != "no":
            raise ValueError(f"qat {self.qat} rounds 32-bit values, found precision {self.precision}: use no")
        return self

    @model_validator(mode="after")
    def _half_precision_needs_a_gpu(self) -> Self:
        if self.precision == "fp16" and self.device == "cpu":
            raise ValueError("precision fp16 needs a GPU, but device is cpu: use bf16 or no")
        return self
