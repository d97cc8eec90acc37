"""What a recording's header promises, where libsndfile passes over it, and headers put right.

libsndfile takes a cut WAV, AIFF, AU or W64 for a short one, reads no sample of a WAV whose writer could not go back to
write its size, and of a FLAC no more than its header says.
"""

import io
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

SUFFIXES = (".aif", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".w64", ".wav")
"""How names of recordings end, where many files are looked through."""
POINTER = b"version https://git-lfs.github.com/spec"
UNKNOWN_BYTES = 0x7FFF0000  # from here on, and 0: what is written where the length is not known yet
MOST_CHUNKS = 1_000
OGG_TAIL = 65_536  # bytes, the longest page of Ogg
OGG_LAST = 4
FLAC_TOTAL = 21  # place of the five bytes whose last 36 bits are the number of samples


@dataclass(frozen=True)
class Header:
    """promised, there: bytes of sound by the header, and in the file; equal where the format does not tell.

    total: samples that a FLAC's header promises. patch: bytes at places, with which libsndfile reads until the end.
    """

    promised: int = 0
    there: int = 0
    unended: bool = False  # an Ogg stream without its last page
    total: int | None = None
    patch: dict[int, bytes] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path) -> "Header":
        """Of any file; raises OSError where it cannot be read."""
        size = file.stat().st_size
        with file.open("rb") as source:
            start = source.read(44)
            if start[:4] == b"RIFF" and start[8:12] == b"WAVE":
                return _wave(source, size)
            if start[:4] == b"FORM" and start[8:12] in (b"AIFF", b"AIFC"):
                return _sized(8 + int.from_bytes(start[4:8], "big"), size)
            if start[:4] == b".snd":
                return _sized(int.from_bytes(start[4:8], "big") + int.from_bytes(start[8:12], "big"), size)
            if start[:4] == b"riff" and len(start) >= 24:
                return _sized(int.from_bytes(start[16:24], "little"), size)
            if start[:4] == b"fLaC" and len(start) >= FLAC_TOTAL + 5:
                return _flac(start)
            if start[:4] == b"OggS":
                return cls(unended=not _ogg_ends(source, size))
        return cls()


class Patched(io.RawIOBase):
    """A file of which some bytes are read as others."""

    def __init__(self, file: Path, patch: dict[int, bytes]) -> None:
        self._source, self._patch = file.open("rb"), patch

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._source.seek(offset, whence)

    def tell(self) -> int:
        return self._source.tell()

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        first = self._source.tell()
        data = bytearray(self._source.read(len(buffer)))
        for place, new in self._patch.items():
            for i, byte in enumerate(new):
                if 0 <= place + i - first < len(data):
                    data[place + i - first] = byte
        buffer[: len(data)] = bytes(data)
        return len(data)

    def close(self) -> None:
        self._source.close()
        super().close()


def _sized(promised: int, size: int) -> Header:
    return Header() if promised >= UNKNOWN_BYTES and promised > 2 * size else Header(promised, max(size, 0))


def _wave(source: BinaryIO, size: int) -> Header:
    """Walk the chunks to the samples."""
    place = 12
    for _ in range(MOST_CHUNKS):
        source.seek(place)
        head = source.read(8)
        if len(head) < 8:
            return Header()
        length = int.from_bytes(head[4:], "little")
        if head[:4] == b"data":
            return _data(source, place, length, size)
        place += 8 + length + length % 2
    return Header()


def _data(source: BinaryIO, place: int, length: int, size: int) -> Header:
    there = size - place - 8
    if length >= UNKNOWN_BYTES and length > there:
        return Header()
    if length >= there:
        return Header(length, there)
    after = place + 8 + length + length % 2
    source.seek(after)
    head = source.read(8)
    named = re.fullmatch(rb"[ -~]{4}", head[:4]) is not None
    fits = after + 8 + int.from_bytes(head[4:], "little") <= size + 1
    if len(head) < 8 or (named and fits):
        return Header(length, length)
    return Header(length, there, patch={place + 4: b"\xff\xff\xff\xff"})


def _flac(start: bytes) -> Header:
    packed = int.from_bytes(start[FLAC_TOTAL : FLAC_TOTAL + 5], "big")
    kept = (packed >> 36 << 36).to_bytes(5, "big")
    return Header(total=packed & ((1 << 36) - 1), patch={FLAC_TOTAL: kept})


def _ogg_ends(source: BinaryIO, size: int) -> bool:
    """Whether the last page says that it is the last, and is whole."""
    first = max(0, size - OGG_TAIL)
    source.seek(first)
    tail = source.read()
    place = tail.rfind(b"OggS")
    if place < 0 or len(tail) < place + 27:
        return False
    segments = tail[place + 26]
    lengths = tail[place + 27 : place + 27 + segments]
    whole = len(lengths) == segments and len(tail) >= place + 27 + segments + sum(lengths)
    return whole and bool(tail[place + 5] & OGG_LAST)
