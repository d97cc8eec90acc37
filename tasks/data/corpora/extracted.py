"""Recordings that lie inside a table or an archive, as files of data/raw/: their bytes as they are, not decoded."""

import io
from pathlib import PurePath

from kd.runtime.containers import SUFFIXES as RECORDINGS
from tasks.data.corpora.archives import Content
from tasks.data.corpora.raw import Place

SUFFIXES = (*RECORDINGS, ".sph")
"""Of recordings, as `kd transcribe` looks for them, and of Kaldi's corpora."""
_IN_A_FOLDER = 1000
_BLOCK = 1 << 20  # bytes


class Extracted:
    """Writes recordings below `place.out`; rows of them have `root`, and the path that `write` gives.

    name: of the table or archive, which no other has.
    """

    def __init__(self, place: Place, name: str) -> None:
        self.root = place.lies_in
        self._out, self._name = place.out, name

    def write(self, number: int, data: bytes, called: str | None) -> str:
        """Its path. called: the recording's own name, by whose suffix the file is recognised as what it is."""
        return self.copy(number, io.BytesIO(data), called)

    def copy(self, number: int, content: Content | io.BytesIO, called: str | None) -> str:
        """Write the recording block by block, from an archive or from memory; gives its path."""
        suffix = PurePath(called or "").suffix.lower()
        folder = f"audio/{self._name}/{number // _IN_A_FOLDER:04d}"
        path = f"{folder}/{number:07d}{suffix if suffix in SUFFIXES else '.audio'}"
        (self._out / folder).mkdir(parents=True, exist_ok=True)
        with (self._out / path).open("wb") as file:
            while block := content.read(_BLOCK):
                file.write(block)
        return path

    def remove(self, path: str) -> None:
        """One that no row names after all."""
        (self._out / path).unlink()
