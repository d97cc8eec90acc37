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

from kd.audio.frontend import make_front_end
from kd.config.models import Problem
from kd.config.renamed import in_new_words
from kd.teachers.confidence import CONFIDENCES
from kd.teachers.ensemble import mean_posteriors, most_confident_posteriors
from tasks.checkpoint import Checkpoint, load_checkpoint
from tasks.params.teachers import Ensemble
from tasks.runner.digests import digest_of
from tasks.runner.paths import Paths
from tasks.teachers.bundle_posteriors import BUNDLE_FILE, BundlePosteriorTeacher
from tasks.teachers.onnx_ctc import FACTS_FILE

COMPUTING_CODE = (
    "kd.audio.augment",
    "kd.teachers.confidence",
    "kd.teachers.ensemble",
    "kd.audio.frontend",
    "kd.models",
    "kd.teachers.codec",
)
"""Modules that an output depends on, with what they import."""
ENSEMBLE_FILE = "ensemble.json"


class PosteriorTeacher(Protocol):
    """Any teacher whose outputs can be stored and compared with a student's, frame by frame."""

    @property
    def key(self) -> str:
        """A hash of all that its outputs depend on besides the audio: weights, settings, code."""

    def to(self, device: torch.device) -> "PosteriorTeacher":
        """Itself, computing there from now on."""

    def posteriors(self, waveform_BN: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        """Waveforms in [-1, 1] and lengths in samples to log_probs_BTV over our units and lengths in frames.

        No gradient; what stands beyond an utterance's length means nothing.
        """


class CheckpointPosteriorTeacher:
    """A recogniser of this project with the front end it was trained with."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.model = checkpoint.model.eval()
        self.frontend = make_front_end(checkpoint.frontend)
        self.key = _hash(checkpoint)
        self.device = torch.device("cpu")

    def to(self, device: torch.device) -> "CheckpointPosteriorTeacher":
        self.model, self.frontend, self.device = self.model.to(device), self.frontend.to(device), device
        return self

    def features(self, waveform_BN: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        """What its front end makes of waveforms, and lengths in feature frames."""
        features_BTF, frames_B = self.frontend(waveform_BN.to(self.device), lengths_B.to(self.device))
        return features_BTF, frames_B

    @torch.no_grad()
    def posteriors(self, waveform_BN: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        logits_BTV, frames_B = self.model(*self.features(waveform_BN, lengths_B))
        return logits_BTV.float().log_softmax(-1), frames_B


class EnsembleTeacher:
    """Two teachers as one: the mean of their posteriors, or for each utterance those of higher confidence."""

    def __init__(self, first: PosteriorTeacher, second: PosteriorTeacher, settings: Ensemble, problem: Problem) -> None:
        self.first, self.second, self.settings, self.problem = first, second, settings, problem
        parts = (first.key, second.key, settings.combine, repr(settings.first_share))
        self.key = blake2b(" ".join(parts).encode(), digest_size=8).hexdigest()

    def to(self, device: torch.device) -> "EnsembleTeacher":
        self.first, self.second = self.first.to(device), self.second.to(device)
        return self

    def posteriors(self, waveform_BN: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        """As `PosteriorTeacher`; where one has a last frame that the other's front end leaves out, without it.

        Raises ValueError where the two have other frames or other units.
        """
        first_BTV, first_B = self.first.posteriors(waveform_BN, lengths_B)
        second_BTV, second_B = self.second.posteriors(waveform_BN, lengths_B)
        if first_BTV.shape[2] != second_BTV.shape[2] or int((first_B - second_B).abs().max()) > 1:
            raise ValueError(
                f"the ensemble's members {self.settings.first} and {self.settings.second} give {first_B.tolist()} and "
                f"{second_B.tolist()} frames of {first_BTV.shape[2]} and {second_BTV.shape[2]} units: join models of "
                "the same subsampling and units"
            )
        frames_B = torch.minimum(first_B, second_B)
        shared = min(first_BTV.shape[1], second_BTV.shape[1])
        first_BTV, second_BTV = first_BTV[:, :shared], second_BTV[:, :shared]
        if self.settings.combine == "mean":
            return mean_posteriors(first_BTV, second_BTV, self.settings.first_share), frames_B
        sure = CONFIDENCES[self.problem]
        return most_confident_posteriors(
            first_BTV, second_BTV, sure(first_BTV, frames_B), sure(second_BTV, frames_B)
        ), frames_B


def load_posterior_teacher(paths: Paths, name: str) -> PosteriorTeacher:
    """The teacher, assistant, student or ensemble that models/NAME holds."""
    return load_teacher_folder(paths.model(name))


def load_teacher_folder(folder: Path) -> PosteriorTeacher:
    """A checkpoint; torchaudio's model with a bundle.json; an ONNX file with an onnx.json; or an ensemble, its members
    in `first` and `second`."""
    if (folder / FACTS_FILE).is_file():
        from tasks.teachers.onnx_ctc.posteriors import OnnxPosteriorTeacher  # onnxruntime starts a thread: adr/0015

        return OnnxPosteriorTeacher(folder)
    if (folder / BUNDLE_FILE).is_file():
        return BundlePosteriorTeacher(folder)
    if not (folder / ENSEMBLE_FILE).is_file():
        return CheckpointPosteriorTeacher(load_checkpoint(folder))
    stored = json.loads((folder / ENSEMBLE_FILE).read_text(encoding="utf-8"))
    settings = Ensemble.model_validate(in_new_words(stored))
    problem = first_checkpoint(folder).model.settings.problem
    first, second = load_teacher_folder(folder / "first"), load_teacher_folder(folder / "second")
    return EnsembleTeacher(first, second, settings, problem)


def first_checkpoint(folder: Path) -> Checkpoint:
    """The one checkpoint of a folder, or an ensemble's first: for what all its members share."""
    while (folder / ENSEMBLE_FILE).is_file():
        folder = folder / "first"
    return load_checkpoint(folder)


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
    """Of torch's version and the code that turns audio into cached logits."""
    return f"{torch.__version__} {digest_of(COMPUTING_CODE)}".encode()
