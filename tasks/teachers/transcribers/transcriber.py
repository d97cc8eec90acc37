"""What every recogniser that gives text is to this pipeline: clips in, transcripts out.

Legend: N samples.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tasks.runner.reporter import Reporter


@dataclass(frozen=True)
class Clip:
    """Audio of one utterance, at one speed, and where it comes from. Samples are read when they are asked for."""

    id: str
    source: str
    seconds: float
    sample_rate_hz: int
    read: Callable[[], npt.NDArray[np.float32]]

    @property
    def waveform_N(self) -> npt.NDArray[np.float32]:
        """Samples in [-1, 1]."""
        return self.read()


@dataclass(frozen=True)
class TranscriberOutput:
    """Transcripts with weights, best first; none and `refused` where the recogniser was not asked.

    confidence, no_speech: probabilities, None where the recogniser gives none.
    """

    texts: tuple[tuple[str, float], ...]
    confidence: float | None = None
    no_speech: float | None = None
    refused: str | None = None


class Transcriber(Protocol):
    """A recogniser ready to work."""

    @property
    def identity(self) -> str | None:
        """What its answers depend on besides the audio, as a key of a cache; None: not to be kept."""

    def transcribe(self, clips: Sequence[Clip], reporter: Reporter) -> Iterator[tuple[str, TranscriberOutput]]:
        """(id, transcription) of every clip, in any order. Raises ValueError where an answer is missing."""
