"""torchaudio's CTC models as teachers of frames: every 20 ms, how likely each of our units is.

One utterance at a time: some bundles normalise over the whole batch, so neighbours would change its frames.
Legend: B utterances, N samples, T frames, V units of ours, W of the bundle.
"""

import json
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import torch
import torchaudio
from torch import Tensor

from kd.teachers.mapped_posteriors import in_our_units
from kd.text.unit_mapping import map_units
from tasks.pretrained.bundles import bundle_labels, find_bundle, load_bundle
from tasks.runner.atomic_io import write_whole
from tasks.runner.digests import digest_of

BUNDLE_FILE, WEIGHTS_FILE = "bundle.json", "weights.pth"
MAPPING_CODE = ("tasks.teachers.bundle_posteriors", "kd.teachers.mapped_posteriors", "kd.text.unit_mapping")
FEWEST_SAMPLES = 400
"""What its convolutions need for one frame; shorter audio is padded with silence."""


class BundlePosteriorTeacher:
    """A folder with bundle.json, which names the bundle and our units, and its weights as torchaudio keeps them."""

    def __init__(self, folder: Path) -> None:
        """Raises ValueError where the bundle's units are not ours, or the weights are not its own."""
        facts = json.loads((folder / BUNDLE_FILE).read_text(encoding="utf-8"))
        self.bundle = find_bundle(facts["bundle"])
        self.units = map_units(bundle_labels(self.bundle), facts["units"])
        self.sample_rate_hz: int = facts["sample_rate_hz"]
        self.model = load_bundle(facts["bundle"], self.bundle, folder / WEIGHTS_FILE)
        self.key = _hash(json.dumps(facts, sort_keys=True), self.model)
        self.device = torch.device("cpu")

    def to(self, device: torch.device) -> "BundlePosteriorTeacher":
        self.model, self.device = self.model.to(device), device
        return self

    @torch.no_grad()
    def posteriors(self, waveform_BN: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        """As `PosteriorTeacher`."""
        rows = [self._one(waveform_N[:n]) for waveform_N, n in zip(waveform_BN, lengths_B.tolist(), strict=True)]
        frames_B = torch.tensor([len(row_TV) for row_TV in rows], device=self.device)
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), frames_B

    def _one(self, waveform_N: Tensor) -> Tensor:
        its_rate_hz = int(self.bundle.sample_rate)
        # By torchaudio, since the batch is on the teacher's device: the runtime's resampler is numpy's
        resampled_N = torchaudio.functional.resample(waveform_N.to(self.device), self.sample_rate_hz, its_rate_hz)
        resampled_N = torch.nn.functional.pad(resampled_N, (0, max(0, FEWEST_SAMPLES - len(resampled_N))))
        logits_1TW, _ = self.model(resampled_N[None])
        return in_our_units(logits_1TW, self.units)[0]


def write_facts(folder: Path, bundle: str, units: Sequence[str], sample_rate_hz: int) -> None:
    """bundle.json: all but the weights."""
    facts = {"bundle": bundle, "units": list(units), "sample_rate_hz": sample_rate_hz}
    write_whole(folder / BUNDLE_FILE, json.dumps(facts, indent=1) + "\n")


def _hash(facts: str, model: torch.nn.Module) -> str:
    """16 hex digits of all that its outputs depend on besides the audio: weights, units, versions, code."""
    code = digest_of(MAPPING_CODE)
    digest = blake2b(f"{facts} {torch.__version__} {torchaudio.__version__} {code}".encode(), digest_size=8)
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
