"""A model in training, with what is trained beside it and left behind afterwards.

Legend: B utterances, T frames, F mel bins, D features of an encoder's stream, V units.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from kd.config.losses import ObjectiveSettings
from kd.config.models import EncoderSettings
from kd.config.self_distillation import inner_layers
from kd.config.states import LayerPair, layer_pairs, layers_read, state_widths
from kd.models import Recogniser
from kd.training.states import States, layers_of, states_of, tapped


class Outputs(NamedTuple):
    """inner_BTV: logits of inner layers, in the objective's order.

    states: of the layers that losses against the teacher read; None where none does. projected: the student's state of
    each pair of layers that meet, at the teacher's width, over the same frames as `states`.
    """

    logits_BTV: Tensor
    lengths_B: Tensor
    inner_BTV: tuple[Tensor, ...] = ()
    states: States | None = None
    projected: Mapping[LayerPair, Tensor] | None = None

    @property
    def meeting_point(self) -> tuple[Tensor, Tensor]:
        """Where all losses meet on their way back, and its frames: the logits, or the deepest state that is read."""
        if self.states is None:
            return self.logits_BTV, self.lengths_B
        return self.states.at[max(self.states.at)], self.states.lengths_B


class StudentWithHeads(nn.Module):
    """features_BTF, lengths_B -> Outputs: what the objective asks for, in one pass.

    Parameters of `model` come first, so that an optimiser without anything beside sees the model's alone.
    """

    def __init__(
        self, model: Recogniser, settings: ObjectiveSettings, seed: int, teacher: EncoderSettings | None = None
    ) -> None:
        """seed: of the weights beside the model. teacher: the encoder of a teacher whose states are compared with.

        Raises ValueError for a layer that the model or the teacher has not.
        """
        super().__init__()
        self.model = model
        self.inner: tuple[int, ...] = ()
        self.read: tuple[int, ...] = ()
        self.pairs: tuple[LayerPair, ...] = ()
        sizes: dict[str, tuple[int, int]] = {}
        if settings.intermediate is not None:
            self.inner = inner_layers(settings.intermediate, len(layers_of(model)))
            if settings.intermediate.head == "own":
                size = model.head.in_features, model.head.out_features
                sizes |= {f"head_{layer}": size for layer in self.inner}
        if settings.reads_states:
            sizes |= self._meet(settings, teacher)
        self.beside = _drawn(sizes, seed).to(model.head.weight.device)
        if settings.reads_states and settings.features is not None and settings.features.projections == "identity":
            self._begin_as_identity()

    def _meet(self, settings: ObjectiveSettings, teacher: EncoderSettings | None) -> dict[str, tuple[int, int]]:
        """Chooses the layers that are read; gives the sizes of the projections."""
        if teacher is None:
            raise ValueError("the objective compares inner states, but its teacher shows none: let a model teach, live")
        own, others = state_widths(self.model.settings.encoder), state_widths(teacher)
        self.read, _ = layers_read(settings, len(own), len(others))
        if settings.features is not None:
            self.pairs = layer_pairs(settings.features, len(own), len(others))
        return {f"project_{mine}_{theirs}": (own[mine - 1], others[theirs - 1]) for mine, theirs in self.pairs}

    def _begin_as_identity(self) -> None:
        """Projections between equal widths hand states on as they are, as in DPHuBERT's code; others stay random."""
        for mine, theirs in self.pairs:
            projection = self.beside[f"project_{mine}_{theirs}"]
            assert isinstance(projection, nn.Linear)
            if projection.in_features == projection.out_features:
                nn.init.eye_(projection.weight)
                nn.init.zeros_(projection.bias)

    def forward(self, features_BTF: Tensor, lengths_B: Tensor) -> Outputs:
        with tapped(self.model, sorted({*self.inner, *self.read})) as caught:
            logits_BTV, frames_B = self.model(features_BTF, lengths_B)
        inner = tuple(self._transcribed(layer, caught[layer], lengths_B) for layer in self.inner)
        if not self.read:
            return Outputs(logits_BTV, frames_B, inner)
        states = states_of(self.model, {layer: caught[layer] for layer in self.read}, lengths_B)
        projected = {pair: self.beside[f"project_{pair[0]}_{pair[1]}"](caught[pair[0]]) for pair in self.pairs}
        return Outputs(logits_BTV, frames_B, inner, states, projected)

    def frames(self, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        """Frames of the logits, and of the encoder's states, for that many feature frames."""
        return self.model.output_lengths(lengths_B), self.model.encoder.output_lengths(lengths_B)

    def _transcribed(self, layer: int, x_BTD: Tensor, lengths_B: Tensor) -> Tensor:
        """Logits of an inner layer, through the encoder's last normalisation and the pooling where there are such."""
        norm = getattr(self.model.encoder, "norm", None)
        head = dict(self.beside.items()).get(f"head_{layer}", self.model.head)
        pooled_BTD, _ = self.model.pooled(
            x_BTD if norm is None else norm(x_BTD), self.model.encoder.output_lengths(lengths_B)
        )
        logits_BTV: Tensor = head(pooled_BTD)
        return logits_BTV


def _drawn(sizes: Mapping[str, tuple[int, int]], seed: int) -> nn.ModuleDict:
    """Linear layers with weights from this seed; torch's own generator is left as it was."""
    if not sizes:
        return nn.ModuleDict()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.ModuleDict({name: nn.Linear(*size) for name, size in sizes.items()})
