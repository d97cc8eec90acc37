"""Whisper by faster-whisper: one clip after another, without sampling, so that it says the same again."""

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import soxr

from tasks.params.teachers import WhisperTeacher
from tasks.runner.reporter import Reporter
from tasks.teachers.transcribers.transcriber import Clip, TranscriberOutput

RATE_HZ = 16_000


class Whisper:
    """Raises ValueError where faster-whisper or the model is missing."""

    def __init__(self, settings: WhisperTeacher, root: Path) -> None:
        self.settings = settings
        self.folder = None if settings.hub else root / settings.path
        if self.folder is not None and not (self.folder / "model.bin").is_file():
            raise ValueError(
                f"{settings.path} holds no Whisper in CTranslate2's form: model.bin is missing. Convert one with "
                "ct2-transformers-converter, or name one of the hub"
            )
        if find_spec("faster_whisper") is None:
            raise ValueError("source: whisper needs faster-whisper: pip install -e '.[whisper]' -c requirements.lock")

    @cached_property
    def model(self) -> Any:
        from faster_whisper import WhisperModel

        try:
            return WhisperModel(
                self.settings.hub or str(self.folder),
                device="auto",
                compute_type=self.settings.compute_type,
                cpu_threads=self.settings.threads,
                local_files_only=self.folder is not None,
            )
        except (OSError, ValueError, RuntimeError) as error:
            or_hub = "" if self.folder else ". Stages work offline: to download it, set HF_HUB_OFFLINE=0 for this run"
            raise ValueError(
                f"Whisper '{self.settings.hub or self.settings.path}' cannot be loaded: {error}. "
                f"Give the folder of a model in CTranslate2's form as path{or_hub}"
            ) from None

    @property
    def identity(self) -> str:
        knobs = self.settings.model_dump_json(exclude={"path", "threads", "replace", "speeds", "parts"})
        digest = blake2b(knobs.encode(), digest_size=16)
        if self.folder is not None:
            digest.update((self.folder / "model.bin").read_bytes())
        return f"whisper-{digest.hexdigest()}"

    def transcribe(self, clips: Sequence[Clip], reporter: Reporter) -> Iterator[tuple[str, TranscriberOutput]]:
        for clip in reporter.progress(clips, len(clips), "Whisper"):
            yield clip.id, self._transcribe(clip)

    def _transcribe(self, clip: Clip) -> TranscriberOutput:
        if clip.seconds < self.settings.min_seconds:
            return TranscriberOutput(
                (), refused=f"{clip.seconds:.2f} s, below min_seconds {self.settings.min_seconds:g}"
            )
        # By soxr: the runtime's resampler rounds otherwise, and transcripts that are kept would be made again
        waveform_N = soxr.resample(clip.waveform_N, clip.sample_rate_hz, RATE_HZ)
        segments, _ = self.model.transcribe(
            waveform_N,
            language=self.settings.language,
            beam_size=self.settings.beam,
            temperature=0.0,
            initial_prompt=self.settings.initial_prompt,
            condition_on_previous_text=False,
            without_timestamps=True,
            no_speech_threshold=None,
            log_prob_threshold=None,
            compression_ratio_threshold=None,
        )
        return _joined(list(segments))


def _joined(segments: Sequence[Any]) -> TranscriberOutput:
    """Segments as one text; its confidence is the geometric mean of its tokens' probabilities."""
    if not segments:
        return TranscriberOutput((("", 1.0),), confidence=0.0)
    tokens = sum(len(s.tokens) + 1 for s in segments)  # Whisper counts the end of the text as a token
    confidence = math.exp(min(0.0, sum(s.avg_logprob * (len(s.tokens) + 1) for s in segments) / tokens))
    text = " ".join(s.text.strip() for s in segments)
    return TranscriberOutput(((text, 1.0),), confidence, max(s.no_speech_prob for s in segments))
