"""A model of this pipeline as a source of transcripts, with its confidence. Legend: B utterances, N samples."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

import torch

from kd.confidence import CONFIDENCES
from kd.decode import DECODERS
from kd.frontend import LogMel
from tasks.checkpoint import load_checkpoint
from tasks.listeners.listener import Clip, Transcription
from tasks.params_teachers import ModelTeacher
from tasks.watch import Watch

BATCH_SECONDS = 60.0


class Own:
    """Its best path, batch by batch of like length."""

    def __init__(self, settings: ModelTeacher, root: Path) -> None:
        self.folder = root / settings.path
        self.checkpoint = load_checkpoint(self.folder)
        self.frontend = LogMel(self.checkpoint.frontend)

    @property
    def identity(self) -> str:
        digest = blake2b(digest_size=16)
        for file in ("config.json", "model.safetensors"):
            digest.update((self.folder / file).read_bytes())
        return f"model-{digest.hexdigest()}"

    def listen(self, clips: Sequence[Clip], watch: Watch) -> Iterator[tuple[str, Transcription]]:
        batches = list(_batches(sorted(clips, key=lambda clip: -clip.seconds)))
        for batch in watch.progress(batches, len(batches), "model"):
            yield from self._heard(batch)

    @torch.inference_mode()
    def _heard(self, clips: Sequence[Clip]) -> Iterator[tuple[str, Transcription]]:
        problem, vocabulary = self.checkpoint.model.settings.problem, self.checkpoint.vocabulary
        waveforms = [torch.from_numpy(clip.waveform_N) for clip in clips]
        lengths_B = torch.tensor([len(waveform_N) for waveform_N in waveforms])
        waveform_BN = torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True)
        logits_BTV, frames_B = self.checkpoint.model(*self.frontend(waveform_BN, lengths_B))
        log_probs_BTV = logits_BTV.log_softmax(-1)
        decoded = DECODERS[problem](log_probs_BTV, frames_B)
        confidences = CONFIDENCES[problem](log_probs_BTV, frames_B)
        for clip, units, confidence in zip(clips, decoded, confidences, strict=True):
            yield clip.id, Transcription(((vocabulary.decode(units), 1.0),), confidence)


def _batches(clips: Sequence[Clip]) -> Iterator[list[Clip]]:
    """Clips in their order, each batch of at most BATCH_SECONDS with its padding (or one clip)."""
    batch: list[Clip] = []
    for clip in clips:
        if batch and batch[0].seconds * (len(batch) + 1) > BATCH_SECONDS:
            yield batch
            batch = []
        batch.append(clip)
    if batch:
        yield batch
