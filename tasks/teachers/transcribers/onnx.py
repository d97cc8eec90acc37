"""CTC models in ONNX as a source of transcripts, in their own tokens. Legend: T frames, W tokens of the model."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

import torch

from kd.runtime.words import join
from kd.teachers.confidence import best_path_confidence
from kd.text.decoding import ctc_greedy
from tasks.params.teachers import OnnxTeacher
from tasks.runner.reporter import Reporter
from tasks.teachers.onnx_ctc.model import OnnxCtc
from tasks.teachers.onnx_ctc.posteriors import files_of, take_in
from tasks.teachers.transcribers.transcriber import Clip, TranscriberOutput


class OnnxTranscriber:
    """Its best path, one clip after another. Raises ValueError where the file is no CTC model that is known here."""

    def __init__(self, settings: OnnxTeacher, root: Path) -> None:
        self.settings, self.folder = settings, root / settings.path
        self.model = OnnxCtc(self.folder, settings.model, settings.tokens, settings.type)
        table = self.model.table
        others = [w for w in range(len(table)) if w != table.blank]
        self.order_W = torch.tensor([table.blank, *others])  # the blank first, as decoders know it
        self.tokens = [table.plain_W[w] for w in (table.blank, *others)]

    @property
    def identity(self) -> str:
        digest = blake2b(str(self.settings.type).encode(), digest_size=16)
        take_in(digest, (self.folder / name for name in files_of(self.model, self.settings)))
        return f"onnx-{digest.hexdigest()}"

    def transcribe(self, clips: Sequence[Clip], reporter: Reporter) -> Iterator[tuple[str, TranscriberOutput]]:
        for clip in reporter.progress(clips, len(clips), self.settings.model):
            yield clip.id, self._transcribe(clip)

    @torch.inference_mode()
    def _transcribe(self, clip: Clip) -> TranscriberOutput:
        self.model.require_rate(clip.sample_rate_hz)
        scores_TW = self.model.scores(torch.from_numpy(clip.waveform_N), clip.sample_rate_hz)
        log_probs_1TW = scores_TW.log_softmax(-1)[None, :, self.order_W]
        lengths = torch.tensor([log_probs_1TW.shape[1]])
        (units,) = ctc_greedy(log_probs_1TW, lengths)
        (confidence,) = best_path_confidence(log_probs_1TW, lengths)
        return TranscriberOutput(((join(self.tokens[unit] for unit in units), 1.0),), confidence)
