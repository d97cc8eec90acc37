"""Frames of a file, block by block, for as long as the decoder gives any."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from kd.runtime.channels import Block
from kd.runtime.containers import Header, Patched

READ_FRAMES = 4_096  # at a time: an error loses no more


def blocks(file: Path, first: int, count: int | None) -> Iterator[Block]:
    """`count` frames from the first on, or all; fewer where there are no more. Raises LibsndfileError."""
    header = Header.read(file)
    whole = first == 0 and count is None
    trusted = header.total is not None and count is not None and first + count <= header.total
    patch = header.patch if whole or not trusted else {}
    if first and not patch and not _can_seek(file, first):
        yield from _read(file, patch, first, count, by_seeking=False)
    else:
        yield from _read(file, patch, first, count, by_seeking=not patch)


@contextmanager
def opened(file: Path, patch: dict[int, bytes]) -> Iterator[Any]:
    """The file opened for reading, as a soundfile.SoundFile, with the bytes of `patch` in place of its own."""
    if not patch:
        name = str(file) if os.name == "nt" else os.fsencode(file)  # which may not be UTF-8
        with _sequential()(name) as source:
            yield source
        return
    with Patched(file, patch) as raw, _sequential()(raw) as source:
        yield source


def sound_error() -> Any:
    """What libsndfile's failures raise; soundfile is loaded when it is needed."""
    import soundfile

    return soundfile.LibsndfileError


def _read(file: Path, patch: dict[int, bytes], first: int, count: int | None, by_seeking: bool) -> Iterator[Block]:
    with opened(file, patch) as source:
        if first and by_seeking:
            source.seek(first)
        elif first:
            _skip(source, first)
        left = count
        while left is None or left > 0:
            size = READ_FRAMES if left is None else min(READ_FRAMES, left)
            block_NC: Block = source.read(size, dtype="float32", always_2d=True)
            if not len(block_NC):
                return
            left = None if left is None else left - len(block_NC)
            yield block_NC


def _can_seek(file: Path, frame: int) -> bool:
    """Whether the decoder finds a frame without reading all before it; in a damaged FLAC it does not."""
    with opened(file, {}) as source:
        if frame > source.frames:
            return False
        try:
            source.seek(frame)
        except sound_error():
            return False
    return True


def _skip(source: Any, count: int) -> None:
    while count > 0:
        passed = len(source.read(min(count, READ_FRAMES), dtype="float32", always_2d=True))
        if passed == 0:
            return
        count -= passed


@cache
def _sequential() -> Any:
    """A SoundFile that reads on until the decoder ends, whatever the header said."""
    import soundfile

    class Sequential(soundfile.SoundFile):  # type: ignore[misc]
        def seekable(self) -> bool:
            return False

    return Sequential
