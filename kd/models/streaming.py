"""A causal recogniser over a stream: block after block of features, with all that it remembers in plain tensors.

Streamed output equals that of the whole utterance, however it is cut. Legend: B streams, T feature frames of a
block, F mel bins, V units.
"""

import torch
from torch import Tensor, nn

from kd.config.frontend import FrontEndSettings
from kd.models import Recogniser, level
from kd.models.memory import Memory


class Streaming(nn.Module):
    """One block through a causal recogniser: (features_BTF, position_B, *memory) -> (log_probs, position, *memory).

    Output frame i is due when feature i * subsampling is there. So a block of n output frames takes
    n * subsampling features, of which that one is its last; of a stream's first block, the first
    subsampling - 1 stand for none, and are not looked at. n is any number for convolutional and recurrent
    models; for a conformer it is `block_frames`, and less at most in a stream's last block.
    """

    def __init__(self, model: Recogniser) -> None:
        super().__init__()
        if why := why_not(model):
            raise ValueError(f"this model cannot stream: {why}")
        self.model = model.eval()
        encoder = model.settings.encoder
        assert encoder.family != "patch_cnn"
        self.subsampling, self.block_frames = encoder.subsampling, encoder.block_frames
        self.shapes = dict(model.encoder.memory())
        if (frames := model.settings.level_frames) > 1:
            self.shapes["level"] = 2, frames - 1

    def start(self, streams: int = 1) -> tuple[Tensor, ...]:
        """The position and the memory of streams without any input so far."""
        position_B = torch.zeros(streams, dtype=torch.int64)
        return position_B, *(torch.zeros(streams, *shape) for shape in self.shapes.values())

    def forward(self, features_BTF: Tensor, position_B: Tensor, *past: Tensor) -> tuple[Tensor, ...]:
        """log_probs_BTV, the position after the block, and the memory in the order of `shapes`."""
        memory, num_frames = Memory(dict(zip(self.shapes, past, strict=True))), features_BTF.shape[1]
        steps_T = torch.arange(num_frames, device=position_B.device)
        index_BT = position_B[:, None] * self.subsampling - (self.subsampling - 1) + steps_T
        scaled_BTF = self._scaled(features_BTF, index_BT >= 0, memory)
        x_BTD = self.model.encoder.step(scaled_BTF, position_B, memory)
        log_probs_BTV = self.model.head(x_BTD).log_softmax(2)
        after = (memory.after[name] for name in self.shapes)
        return log_probs_BTV, position_B + num_frames // self.subsampling, *after

    def _scaled(self, features_BTF: Tensor, there_BT: Tensor, memory: Memory) -> Tensor:
        """Features as `Recogniser.scaled` makes them, with the level taken over the frames that were."""
        x_BTF = features_BTF.masked_fill(~there_BT[..., None], 0.0)
        if "level" in self.shapes:
            x_BTF = level.relative(x_BTF, memory.extend("level", level.level_of(x_BTF, there_BT), 2))
        return ((x_BTF - self.model.mean_F) * self.model.scale_F).masked_fill(~there_BT[..., None], 0.0)


def why_not(model: Recogniser) -> str:
    """Why a model cannot stream; empty where it can."""
    if model.settings.problem != "transcription":
        return "its problem is keyword, whose one answer is about the whole utterance"
    if model.settings.dynamic_range:
        return "its features are taken relative to the peak of the whole utterance"
    if model.settings.normalised:
        return "its samples are scaled by the loudness of the whole utterance"
    causal = getattr(model.settings.encoder, "causal", None)
    if causal is None:
        return f"{model.settings.encoder.family} attends to the whole utterance: of long audio it takes chunks"
    if not causal:
        return "its frames depend on what comes later. Set causal: true in its model and train it"
    return ""


def latency_ms(model: Recogniser, frontend: FrontEndSettings) -> float:
    """The longest time from a sound to the first output on a frame whose middle is not before it.

    A block of output frames, since the sound may come right after the last one's middle, and the half of a
    feature's window that lies behind that middle. Time for computing comes on top.
    """
    encoder = model.settings.encoder
    assert encoder.family != "patch_cnn"
    return encoder.block_frames * encoder.subsampling * frontend.frame_shift_ms + frontend.frame_length_ms / 2
