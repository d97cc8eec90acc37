"""A model in training, with what is trained beside it and left behind afterwards.

Legend: B utterances, T frames, D features of an encoder's stream, V units.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from kd.models import Recogniser
from kd.settings.itself import inner_layers
from kd.settings.losses import ObjectiveSettings


class Outputs(NamedTuple):
    """inner_BTV: logits of inner layers, in the objective's order."""

    logits_BTV: Tensor
    lengths_B: Tensor
    inner_BTV: tuple[Tensor, ...] = ()


class Trainee(nn.Module):
    """features_BTF, lengths_B -> Outputs: what the objective asks for, in one pass.

    Parameters of `model` come first, so that an optimiser without anything beside sees the model's alone.
    """

    def __init__(self, model: Recogniser, settings: ObjectiveSettings, seed: int) -> None:
        """seed: of the weights beside the model. Raises ValueError for a layer that the model has not."""
        super().__init__()
        self.model = model
        self.beside = nn.ModuleDict()
        self.inner: tuple[int, ...] = ()
        if settings.intermediate is None:
            return
        self.inner = inner_layers(settings.intermediate, len(layers_of(model)))
        if settings.intermediate.head == "own":
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                size = model.head.in_features, model.head.out_features
                heads = {f"head_{layer}": nn.Linear(*size) for layer in self.inner}
            self.beside = nn.ModuleDict(heads).to(model.head.weight.device)

    def forward(self, features_BTF: Tensor, lengths_B: Tensor) -> Outputs:
        with tapped(self.model, self.inner) as caught:
            logits_BTV, lengths_B = self.model(features_BTF, lengths_B)
        return Outputs(logits_BTV, lengths_B, tuple(self._transcribed(layer, caught[layer]) for layer in self.inner))

    def _transcribed(self, layer: int, x_BTD: Tensor) -> Tensor:
        """Logits of an inner layer, through the encoder's last normalisation where it has one."""
        norm = getattr(self.model.encoder, "norm", None)
        head = self.beside[f"head_{layer}"] if self.beside else self.model.head
        logits_BTV: Tensor = head(x_BTD if norm is None else norm(x_BTD))
        return logits_BTV


def layers_of(model: Recogniser) -> Sequence[nn.Module]:
    """The encoder's layers, whose outputs are (B, T, D)."""
    return getattr(model.encoder, "layers", ())


@contextmanager
def tapped(model: Recogniser, layers: Sequence[int]) -> Iterator[dict[int, Tensor]]:
    """Within it, the outputs of these layers (the first is 1) are kept in the dictionary."""
    caught: dict[int, Tensor] = {}

    def keeper(layer: int):  # type: ignore[no-untyped-def]
        def keep(module: nn.Module, inputs: object, output: Tensor) -> None:
            caught[layer] = output

        return keep

    handles = [layers_of(model)[layer - 1].register_forward_hook(keeper(layer)) for layer in layers]
    try:
        yield caught
    finally:
        for handle in handles:
            handle.remove()
