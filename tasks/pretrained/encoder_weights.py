"""What is taken of a pre-trained model: its encoder's tensors by our names, its shape, and a CTC head if it has one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from kd.config.frontend import FrontEndSettings
from kd.config.models import EncoderSettings
from kd.text.token_table import WORD_BREAK
from kd.text.unit_mapping import map_units


@dataclass(frozen=True)
class CTCHead:
    """weight (W, D) and bias (W,) of the labels, the blank first."""

    weight: Tensor
    bias: Tensor
    labels: tuple[str, ...]

    def of(self, tokens: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Weight and bias for our characters, our blank first: each is the label that it is, or in the other case.

        Labels that are none of ours go. Raises ValueError naming characters of ours that the head never says.
        """
        try:
            places = map_units(self.labels, tokens).places_W
        except ValueError as error:
            own = "".join(" " if label == WORD_BREAK else label for label in self.labels[1:] if len(label) == 1)
            raise ValueError(
                f"head: kept, but {str(error).split(';')[0]}. Write problem.units.alphabet: {own.lower()!r} or fewer, "
                "or head: new"
            ) from None
        rows = [self._row(token, places, unit) for unit, token in enumerate(tokens)]
        return self.weight[rows], self.bias[rows]

    def _row(self, token: str, places: Sequence[int], unit: int) -> int:
        rows = [row for row, place in enumerate(places) if place == unit]
        return next((row for row in rows if self.labels[row] == token), rows[0])


class EncoderWeights(Protocol):
    """tensors: float32, by the names of our encoder. called: for whoever reads the log, `Whisper's encoder`."""

    @property
    def tensors(self) -> dict[str, Tensor]: ...
    @property
    def called(self) -> str: ...
    @property
    def frontend(self) -> FrontEndSettings: ...
    @property
    def head(self) -> CTCHead | None: ...
    def settings(self, pooling: int, dropout: float = 0.0) -> EncoderSettings:
        """Of an encoder of this shape."""


def with_encoder_weights(state: Mapping[str, Tensor], weights: EncoderWeights) -> dict[str, Tensor]:
    """A recogniser's state with these weights in its encoder; what they do not have, and its head, stay."""
    ours = {f"encoder.{name}": tensor for name, tensor in weights.tensors.items()}
    for name, tensor in ours.items():
        if state[name].shape != tensor.shape:
            raise ValueError(
                f"{name} has the shape {tuple(tensor.shape)}, expected {tuple(state[name].shape)}: build the model by "
                "settings() of these weights"
            )
    return {**state, **ours}


def with_head(state: Mapping[str, Tensor], weights: EncoderWeights, tokens: Sequence[str]) -> dict[str, Tensor]:
    """A recogniser's state with their CTC head for our units. Raises ValueError where they have none for them."""
    if weights.head is None:
        raise ValueError("head: kept, but it has no CTC head with a vocabulary: use head: new, and fine_tune")
    weight, bias = weights.head.of(tokens)
    return {**state, "head.weight": weight.clone(), "head.bias": bias.clone()}


def as_float(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors in float32, whatever they were stored as."""
    return {name: tensor.to(torch.float32) for name, tensor in tensors.items()}
