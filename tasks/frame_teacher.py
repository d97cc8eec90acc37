"""Teachers that say for each frame how likely each of our units is.

Legend: B utterances, N samples, T frames, V units.
"""

import json
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

import kd
from kd.frontend import LogMel
from tasks.checkpoint import Checkpoint, load_checkpoint
from tasks.paths import Paths

COMPUTING_CODE = ("augment.py", "frontend.py", "models", "posteriors.py")
"""Files and folders of kd/ that an output depends on."""


class FrameTeacher(Protocol):
    """Any teacher whose outputs can be stored and compared with a student's, frame by frame."""

    @property
    def key(self) -> str:
        """A hash of all that its outputs depend on besides the audio: weights, settings, code."""

    def to(self, device: torch.device) -> "FrameTeacher":
        """Itself, computing there from now on."""

    def posteriors(self, waveform_BN: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        """Waveforms in [-1, 1] and lengths in samples to log_probs_BTV over our units and lengths in frames.

        No gradient; what stands beyond an utterance's length means nothing.
        """


class ModelTeacher:
    """A recogniser of this project with the front end it was trained with."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.model = checkpoint.model.eval()
        self.frontend = LogMel(checkpoint.frontend)
        self.key = _hash(checkpoint)
        self.device = torch.device("cpu")

    def to(self, device: torch.device) -> "ModelTeacher":
        self.model, self.frontend, self.device = self.model.to(device), self.frontend.to(device), device
        return self

    @torch.no_grad()
    def posteriors(self, waveform_BN: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        features_BTF, frames_B = self.frontend(waveform_BN.to(self.device), lengths_B.to(self.device))
        logits_BTV, frames_B = self.model(features_BTF, frames_B)
        return logits_BTV.float().log_softmax(-1), frames_B


def load_frame_teacher(paths: Paths, name: str) -> FrameTeacher:
    """The teacher or student that models/NAME holds."""
    return ModelTeacher(load_checkpoint(paths.model(name)))


def _hash(checkpoint: Checkpoint) -> str:
    """16 hex digits of weights, settings, units and code; what a checkpoint says of its history is no part of it."""
    settings = [
        checkpoint.model.settings.model_dump(),
        checkpoint.frontend.model_dump(),
        checkpoint.vocabulary.to_dict(),
    ]
    digest = blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=8)
    digest.update(code_hash())
    for name, tensor in sorted(checkpoint.model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@cache
def code_hash() -> bytes:
    """Of torch's version and the code that turns audio into stored outputs."""
    digest = blake2b(torch.__version__.encode(), digest_size=16)
    for path in (Path(kd.__file__).parent / name for name in COMPUTING_CODE):
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    return digest.digest()
