"""Settings of self-distillation: what a model learns from itself, beside its labels."""

from typing import Annotated, Literal

from pydantic import Field

from kd.config.base import Strict


class ConsistencyCTC(Strict):
    """Two SpecAugment views of each batch shall say the same (CR-CTC, Yao et al. 2024); transcription only.

    Doubles the time of a step.
    """

    name: Literal["cr_ctc"]
    weight: float = Field(0.2, gt=0, description="alpha: of the consistency, beside half of both views' CTC")
    time_masking: float = Field(2.5, ge=1, description="times as much time is masked, in both views")


class IntermediateCTC(Strict):
    """CTC at inner layers too (Lee & Watanabe 2021), which may imitate the last one; transcription only."""

    name: Literal["intermediate_ctc"]
    weight: float = Field(0.3, gt=0, description="of the inner layers' mean, beside the last layer's CTC")
    layers: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(
        None, min_length=1, description="inner layers, the first is 1; null: the middle one"
    )
    head: Literal["shared", "own"] = Field("shared", description="the model's, or one each that is dropped afterwards")
    imitate: float = Field(0.0, ge=0, description="weight of KL(last layer || inner layer), summed over frames")


SelfDistillation = Annotated[ConsistencyCTC | IntermediateCTC, Field(discriminator="name")]


def inner_layers(settings: IntermediateCTC, num_layers: int) -> tuple[int, ...]:
    """The layers meant, counted from 1. Raises ValueError for one that is no inner layer."""
    if num_layers < 2:
        raise ValueError("intermediate_ctc needs an inner layer, but the model has only one: remove it")
    if settings.layers is None:
        return (num_layers // 2,)
    if outside := [layer for layer in settings.layers if layer >= num_layers]:
        raise ValueError(
            f"intermediate_ctc names layer {outside[0]} of {num_layers}: choose inner ones, from 1 to {num_layers - 1}"
        )
    return settings.layers
