"""Resume states of a stage, in an untracked folder whose name is the hash of all that the result depends on.

DVC deletes a stage's outputs before it runs, and `persist: true` would switch its run-cache off;
so what a killed stage needs to go on lies here. A changed input, parameter or line of code gives
another folder, and the old one is never looked at again.
"""

import json
import shutil
from collections.abc import Iterator
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any

HASHED_BYTES = 16 * 2**20
"""Larger files count by size and time of change, so that a big corpus costs nothing."""

BEGUN = "begun"


def scratch_key(root: Path, deps: tuple[Path, ...], params: dict[str, Any]) -> str:
    """16 hex digits that change with any file under deps and with any of the params."""
    digest = blake2b(json.dumps(params, sort_keys=True).encode(), digest_size=8)
    for file in _files(root, deps):
        digest.update(f"\n{file} ".encode())
        digest.update(_fingerprint(root / file))
    return digest.hexdigest()


def stage_scratch(root: Path, stage: str) -> Path:
    """The folder of one stage's resume states; `stage` is such as distil/baseline."""
    return root / "scratch" / "resume" / stage.replace("/", "-")


def remove_scratch(root: Path, stage: str) -> None:
    """Remove a stage's resume states. Only once DVC has recorded its outputs: until then they may be needed."""
    shutil.rmtree(stage_scratch(root, stage), ignore_errors=True)


def note_begun(root: Path, stage: str) -> None:
    """Note that a stage began: from now on what stands in its outputs' place is its own, until DVC has recorded it."""
    file = stage_scratch(root, stage) / BEGUN
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()


def was_begun(root: Path, stage: str) -> bool:
    """Whether a stage began, and was killed or failed before DVC had recorded its outputs."""
    return (stage_scratch(root, stage) / BEGUN).is_file()


def open_scratch(root: Path, stage: str, key: str) -> Path:
    """The folder for this key, made if missing; those of other keys are removed."""
    parent = stage_scratch(root, stage)
    folder = parent / key
    folder.mkdir(parents=True, exist_ok=True)
    for other in parent.iterdir():
        if other != folder and other.name != BEGUN:
            shutil.rmtree(other, ignore_errors=True)
    return folder


def _files(root: Path, deps: tuple[Path, ...]) -> Iterator[Path]:
    for dep in deps:
        if (root / dep).is_dir():
            inside = (file for file in (root / dep).rglob("*") if file.is_file() and "__pycache__" not in file.parts)
            yield from sorted(file.relative_to(root) if file.is_relative_to(root) else file for file in inside)
        elif (root / dep).exists():
            yield dep


def _fingerprint(file: Path) -> bytes:
    facts = file.stat()
    if facts.st_size > HASHED_BYTES:
        return f"{facts.st_size} {facts.st_mtime_ns}".encode()
    with file.open("rb") as data:
        return file_digest(data, lambda: blake2b(digest_size=16)).digest()
