"""Sound on standard input: raw samples, or a WAV of 16 bits, as recorders write it into a pipe."""

import io
from collections.abc import Iterator
from typing import BinaryIO

from kd.runtime import audio
from kd.runtime.audio_decoder import HIGHEST_HZ, LOWEST_HZ
from kd.runtime.containers import MOST_CHUNKS, UNKNOWN_BYTES
from kd.runtime.errors import AudioError
from kd.runtime.resample import Samples

NAME = "standard input"
OTHERS = {
    b"fLaC": "a FLAC", b"OggS": "an Ogg", b"FORM": "an AIFF", b"RF64": "an RF64", b"riff": "a W64", b"caff": "a CAF",
    b".snd": "an AU", b"ID3": "an MP3",
}  # fmt: skip
PCM, EXTENSIBLE = 1, 0xFFFE
LONGEST_CHUNK = 1 << 24


class StandardInput:
    """`short` says, once all was read, why it is less than its header promised."""

    def __init__(self, stream: BinaryIO, rate_hz: int | None, to_hz: int) -> None:
        self.short: str | None = None
        self._to_hz = to_hz
        start = stream.read(12)
        if start[:4] == b"RIFF" and start[8:12] == b"WAVE":
            self._from_hz, self._channels, self._promised = _header(stream)
            if rate_hz not in (None, self._from_hz):
                raise AudioError(
                    NAME, "unreadable", f"its header says {self._from_hz} Hz, --rate {rate_hz}: leave out --rate"
                )
            self._stream = _Rest(b"", stream, self._promised)
            return
        for mark, kind in OTHERS.items():
            if start.startswith(mark):
                raise AudioError(
                    NAME, "unreadable", f"it is {kind} file; raw 16-bit samples or WAV are read there: name the file"
                )
        self._from_hz, self._channels, self._promised = rate_hz or to_hz, 1, None
        self._stream = _Rest(start, stream, None)

    def pieces(self) -> Iterator[Samples]:
        """Samples at the model's rate, as they come. Raises AudioError where there are none."""
        yield from audio.raw(self._stream, self._from_hz, self._to_hz, self._channels)
        if self._stream.given == 0:
            raise AudioError(NAME, "empty", "it holds no samples: is there sound in the pipe?")
        if self._promised is not None and self._stream.given < self._promised:
            self.short = f"only {self._stream.given} of {self._promised} bytes came: was it cut off?"


class _Rest(io.BytesIO):
    """What is left of a stream after bytes that were read already, up to a limit."""

    def __init__(self, start: bytes, stream: BinaryIO, limit: int | None) -> None:
        super().__init__()
        self._start, self._stream, self._limit, self.given = start, stream, limit, 0

    def read(self, size: int | None = -1) -> bytes:
        size = size or 0
        if self._limit is not None:
            size = min(size, self._limit - self.given)
        data = self._start[:size]
        self._start = self._start[len(data) :]
        if len(data) < size:
            data += self._stream.read(size - len(data))
        self.given += len(data)
        return data


def _header(stream: BinaryIO) -> tuple[int, int, int | None]:
    """Rate, channels and the bytes of samples, None where the writer did not know; the samples follow."""
    found: tuple[int, int] | None = None
    for _ in range(MOST_CHUNKS):
        head = stream.read(8)
        if len(head) < 8:
            break
        length = int.from_bytes(head[4:], "little")
        if head[:4] == b"data" and found:
            return *found, None if length == 0 or length >= UNKNOWN_BYTES else length
        if length > LONGEST_CHUNK:
            break
        chunk = stream.read(length + length % 2)
        if head[:4] == b"fmt ":
            found = _format(chunk)
    raise AudioError(NAME, "unreadable", "it begins as a WAV and holds no samples: was it cut off? Send the whole file")


def _format(chunk: bytes) -> tuple[int, int]:
    tag, channels, rate_hz = (int.from_bytes(chunk[a:b], "little") for a, b in ((0, 2), (2, 4), (4, 8)))
    bits = int.from_bytes(chunk[14:16], "little")
    if tag == EXTENSIBLE:
        tag = int.from_bytes(chunk[24:26], "little")
    if tag != PCM or bits != 16 or channels == 0 or not LOWEST_HZ <= rate_hz <= HIGHEST_HZ:
        raise AudioError(
            NAME,
            "unreadable",
            f"it is a WAV of format {tag} with {bits} bits, {channels} channels, {rate_hz} Hz; PCM of 16 bits is "
            "expected there: name the file instead",
        )
    return rate_hz, channels
