"""Residual LSTM or GRU layers, unidirectional or bidirectional.

One layer: x + W [forward(norm(x)); backward(norm(x))]. The backward direction runs over each utterance
reversed within its own length, so padding stays behind the last frame and cannot reach a valid one;
no packing is needed and the network exports to ONNX as it is.
"""

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

from kd.config.models import RNNSettings
from kd.models.dimensions import MIXES, Dimension, reads, writes
from kd.models.dropout import Dropout
from kd.models.encoder import Encoder
from kd.models.memory import Memory, Shapes
from kd.models.parts import Stem
from kd.padding import frame_mask

CELLS: dict[str, type[nn.GRU] | type[nn.LSTM]] = {"gru": nn.GRU, "lstm": nn.LSTM}
GATES = {"gru": 3, "lstm": 4}
STATES = {"gru": ("hidden",), "lstm": ("hidden", "cell")}


def reversed_within(lengths_B: Tensor, num_frames: int) -> Tensor:
    """(B, T) indices that reverse each utterance's valid frames and leave its padding in place."""
    steps_T = torch.arange(num_frames, device=lengths_B.device)
    mirrored_BT = lengths_B[:, None] - 1 - steps_T
    return torch.where(mirrored_BT >= 0, mirrored_BT, steps_T.expand_as(mirrored_BT))


class Layer(nn.Module):
    """(B, T, D) -> (B, T, D)."""

    def __init__(self, settings: RNNSettings, hidden: int) -> None:
        super().__init__()
        cell = CELLS[settings.cell]
        self.parts = STATES[settings.cell]
        self.norm = nn.LayerNorm(settings.width)
        self.ahead = cell(settings.width, hidden, batch_first=True)
        self.back = cell(settings.width, hidden, batch_first=True) if settings.bidirectional else None
        self.project = nn.Linear(hidden * (1 + settings.bidirectional), settings.width)
        self.dropout = Dropout(settings.dropout)

    def forward(self, x_BTD: Tensor, mirror_BT: Tensor) -> Tensor:
        normed_BTD = self.norm(x_BTD)
        y_BTH: Tensor = self.ahead(normed_BTD)[0]
        if self.back is not None:
            mirrored_BTD = normed_BTD.gather(1, mirror_BT[..., None].expand(-1, -1, normed_BTD.shape[2]))
            back_BTH = self.back(mirrored_BTD)[0]
            back_BTH = back_BTH.gather(1, mirror_BT[..., None].expand(-1, -1, back_BTH.shape[2]))
            y_BTH = torch.cat([y_BTH, back_BTH], dim=2)
        return x_BTD + self.dropout(self.project(y_BTH))  # type: ignore[no-any-return]

    def step(self, x_BTD: Tensor, memory: Memory, name: str) -> Tensor:
        before = [memory.recall(f"{name}.{part}")[None].contiguous() for part in self.parts]
        y_BTH, after = self.ahead(self.norm(x_BTD), tuple(before) if len(before) > 1 else before[0])
        for part, tensor_1BH in zip(self.parts, after if len(before) > 1 else [after], strict=True):
            memory.keep(f"{name}.{part}", tensor_1BH[0])
        return x_BTD + self.project(y_BTH)  # type: ignore[no-any-return]


class RNNEncoder(Encoder):
    """features_BTF, lengths_B -> x_BTD, lengths_B."""

    output = "width"

    def __init__(self, settings: RNNSettings, num_features: int) -> None:
        super().__init__()
        self.settings = settings
        self.stem = Stem(num_features, settings.stem, settings.width, settings.subsampling, settings.causal)
        self.layers = nn.ModuleList(Layer(settings, hidden) for hidden in settings.hidden)
        self.norm = nn.LayerNorm(settings.width)
        self.num_outputs = settings.width

    def forward(self, features_BTF: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        x_BTD, lengths_B = self.stem(features_BTF, lengths_B)
        mirror_BT = reversed_within(lengths_B, x_BTD.shape[1])
        for layer in self.layers:
            x_BTD = layer(x_BTD, mirror_BT)
        return self.norm(x_BTD) * frame_mask(lengths_B, x_BTD.shape[1])[..., None], lengths_B

    def step(self, features_BTF: Tensor, position_B: Tensor, memory: Memory) -> Tensor:
        x_BTD = self.stem.step(features_BTF, position_B, memory)
        for i, layer in enumerate(cast(Iterable[Layer], self.layers)):
            x_BTD = layer.step(x_BTD, memory, f"layers.{i}")
        return self.norm(x_BTD)  # type: ignore[no-any-return]

    def memory(self) -> Shapes:
        parts, sizes = STATES[self.settings.cell], enumerate(self.settings.hidden)
        layers = {f"layers.{i}.{part}": (size,) for i, size in sizes for part in parts}
        return {**self.stem.memory(), **layers}

    def output_lengths(self, lengths_B: Tensor) -> Tensor:
        return self.stem.output_lengths(lengths_B)

    def dimensions(self) -> list[Dimension]:
        width = [*writes("stem.conv2.weight", "stem.conv2.bias", "norm.weight", "norm.bias")]
        hidden = []
        gates, ways = GATES[self.settings.cell], 1 + self.settings.bidirectional
        for i, size in enumerate(self.settings.hidden):
            at = f"layers.{i}"
            width += writes(f"{at}.norm.weight", f"{at}.norm.bias", f"{at}.project.weight", f"{at}.project.bias")
            axes = [reads(f"{at}.project.weight", blocks=ways)]
            for way in ("ahead", "back")[:ways]:
                cell = f"{at}.{way}"
                width.append(reads(f"{cell}.weight_ih_l0"))
                tensors = (f"{cell}.{t}_l0" for t in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
                axes += [*writes(*tensors, blocks=gates), reads(f"{cell}.weight_hh_l0")]
            hidden.append(Dimension(f"{at}.hidden", "hidden", size, "hidden", i, tuple(axes)))
        return [
            Dimension("layers", "layers", self.settings.layers, "layers"),
            self.stem.dimension(),
            Dimension("width", "width", self.settings.width, "width", axes=tuple(width), caveat=MIXES),
            *hidden,
        ]
