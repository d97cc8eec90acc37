"""One of the given files, or standard input, as pieces at the model's rate."""

import sys
from argparse import Namespace
from collections.abc import Iterator

from kd.runtime import audio
from kd.runtime.audio_decoder import Recording
from kd.runtime.find import STREAM
from kd.runtime.frontend import Samples
from kd.runtime.standard_input import NAME, StandardInput
from kd.runtime.tally import Tally


class Source:
    """Says to the tally what was done to a recording, and where it is less than it promises."""

    def __init__(self, options: Namespace, file: str, rate_hz: int, tally: Tally | None) -> None:
        self._options, self._file, self._rate_hz, self._tally = options, file, rate_hz, tally

    def pieces(self) -> Iterator[Samples]:
        """Levelled where that is asked for. Raises AudioError."""
        if self._file == STREAM:
            stream = StandardInput(sys.stdin.buffer, self._options.rate, self._rate_hz)
            level, pieces = self._options.level, stream.pieces()
            yield from pieces if level is None else audio.levelled(pieces, level)
            self._short(NAME, stream.short)
            return
        recording = Recording.open(self._file)
        if self._tally is not None:
            self._tally.remark(recording)
        yield from audio.blocks(recording, self._rate_hz, self._options.level)
        self._short(self._file, recording.short)

    def _short(self, file: str, short: str | None) -> None:
        if short is not None and self._tally is not None:
            self._tally.fail(f"{file}: {short} What is there was transcribed")
