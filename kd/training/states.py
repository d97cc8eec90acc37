"""What goes on inside an encoder: the states of its layers while it computes.

Legend: B utterances, T frames of the encoder, D features of a state.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from kd.losses.frames import utterance_means
from kd.models import Recogniser


class States(NamedTuple):
    """at: a layer's number (the first is 1) to its (B, T, D). lengths_B: frames of each utterance, in all of them.

    A keyword's states have frames too, which its head averages; patch_cnn's only one has a single frame.
    """

    at: Mapping[int, Tensor]
    lengths_B: Tensor

    @property
    def embedding_B1D(self) -> Tensor:
        """Each utterance as one frame: the mean of the deepest layer's valid ones."""
        return utterance_means(self.at[max(self.at)], self.lengths_B)[:, None]

    def to(self, device: torch.device) -> "States":
        return States({layer: x.to(device) for layer, x in self.at.items()}, self.lengths_B.to(device))

    def twice(self) -> "States":
        """States of a batch that holds each utterance twice: all, and then all again."""
        return States({layer: x.repeat(2, 1, 1) for layer, x in self.at.items()}, self.lengths_B.repeat(2))

    def rows(self, which: slice) -> "States":
        """States of some of the utterances."""
        return States({layer: x[which] for layer, x in self.at.items()}, self.lengths_B[which])


def layers_of(model: Recogniser) -> Sequence[nn.Module]:
    """The encoder's layers, whose outputs are (B, T, D); the encoder itself where it is no stack of such."""
    return getattr(model.encoder, "layers", (model.encoder,))


@contextmanager
def tapped(model: Recogniser, layers: Sequence[int]) -> Iterator[dict[int, Tensor]]:
    """Within it, the states of these layers (the first is 1) are kept in the dictionary.

    The last one's is what the encoder gives, after its closing normalisation where it has one.
    """
    caught: dict[int, Tensor] = {}

    def keeper(layer: int):  # type: ignore[no-untyped-def]
        def keep(module: nn.Module, inputs: object, output: Tensor | tuple[Tensor, Tensor]) -> None:
            caught[layer] = output[0] if isinstance(output, tuple) else output

        return keep

    modules = [*layers_of(model)[:-1], model.encoder]
    handles = [modules[layer - 1].register_forward_hook(keeper(layer)) for layer in layers]
    try:
        yield caught
    finally:
        for handle in handles:
            handle.remove()


def states_of(model: Recogniser, caught: Mapping[int, Tensor], features_B: Tensor) -> States:
    """States that `tapped` kept of a pass over utterances of so many feature frames."""
    return States(caught, model.encoder.output_lengths(features_B))
