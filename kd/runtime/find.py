"""Audio in files and folders: what is there, and what there cannot be read."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from kd.runtime.containers import SUFFIXES

UNREADABLE = (
    *(".3gp", ".aac", ".ac3", ".amr", ".ape", ".avi", ".dsf", ".dts", ".flv", ".m4a", ".m4b", ".m4v", ".mka", ".mkv"),
    *(".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ra", ".rm", ".spx", ".tta", ".webm", ".wma", ".wmv", ".wv"),
)  # sound that libsndfile does not decode
STREAM = "-"


@dataclass(frozen=True)
class Found:
    """files in order; failures: a line for each place in which there is nothing to read."""

    files: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def find(places: Iterable[str]) -> Found:
    """Files as they are, and all audio within folders, in order. `-` is standard input."""
    found = Found()
    for place in places:
        if place == STREAM or not Path(place).is_dir():
            found.files.append(place)
            continue
        before = len(found.files) + len(found.failures)
        _walk(place, found)
        if len(found.files) + len(found.failures) == before:
            found.failures.append(f"{place} holds no audio: files ending in {', '.join(SUFFIXES)} are looked for")
    return found


def _walk(folder: str, found: Found) -> None:
    """Links to folders are not followed, so that none is walked for ever, nor are hidden folders, such as `.venv/`."""

    def refused(error: OSError) -> None:
        found.failures.append(f"{error.filename}: the folder cannot be read: {error.strerror}")

    files: list[str] = []
    for place, folders, names in os.walk(folder, onerror=refused):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [str(Path(place) / name) for name in names]
    for file in sorted(files):
        suffix = Path(file).suffix.lower()
        if suffix in SUFFIXES:
            found.files.append(file)
        elif suffix in UNREADABLE:
            found.failures.append(f"{file}: {suffix[1:]} cannot be read. Convert it to WAV or FLAC first")
