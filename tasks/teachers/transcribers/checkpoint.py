"""A model of this pipeline as a source of transcripts, with its confidence. Legend: B utterances, N samples."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from kd.teachers.confidence import CONFIDENCES
from kd.text.decoding import DECODERS
from tasks.params.teachers import PipelineModelTeacher
from tasks.runner.reporter import Reporter
from tasks.teachers.posterior_teacher import first_checkpoint, load_teacher_folder
from tasks.teachers.transcribers.transcriber import Clip, TranscriberOutput

BATCH_SECONDS = 60.0


class ModelTranscriber:
    """Its best path, batch by batch of like length."""

    def __init__(self, settings: PipelineModelTeacher, root: Path) -> None:
        self.teacher = load_teacher_folder(root / settings.path)
        checkpoint = first_checkpoint(root / settings.path)
        self.vocabulary, self.problem = checkpoint.vocabulary, checkpoint.model.settings.problem

    @property
    def identity(self) -> str:
        return f"model-{self.teacher.key}"

    def transcribe(self, clips: Sequence[Clip], reporter: Reporter) -> Iterator[tuple[str, TranscriberOutput]]:
        batches = list(_batches(sorted(clips, key=lambda clip: -clip.seconds)))
        for batch in reporter.progress(batches, len(batches), "model"):
            yield from self._transcribe(batch)

    @torch.inference_mode()
    def _transcribe(self, clips: Sequence[Clip]) -> Iterator[tuple[str, TranscriberOutput]]:
        waveforms = [torch.from_numpy(clip.waveform_N) for clip in clips]
        lengths_B = torch.tensor([len(waveform_N) for waveform_N in waveforms])
        waveform_BN = torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True)
        log_probs_BTV, frames_B = self.teacher.posteriors(waveform_BN, lengths_B)
        decoded = DECODERS[self.problem](log_probs_BTV, frames_B)
        confidences = CONFIDENCES[self.problem](log_probs_BTV, frames_B)
        for clip, units, confidence in zip(clips, decoded, confidences, strict=True):
            yield clip.id, TranscriberOutput(((self.vocabulary.decode(units), 1.0),), confidence)


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
