"""Files that are read whole: text in UTF-8 and what an export wrote, checked before anything is made of them."""

import hashlib
import os
from pathlib import Path

from kd.runtime.containers import POINTER
from kd.runtime.errors import RefusedError

UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # byte-order marks; those of UTF-32 begin or go on alike


def read_text(file: Path, expected: str) -> str:
    """Without a byte-order mark. Raises RefusedError where there is no such file, or no text in UTF-8."""
    data = _bytes(file, expected)
    if data.startswith(UTF_16) or b"\0" in data:
        other = "is UTF-16" if data.startswith(UTF_16) else "holds zero bytes, as UTF-16 does"
        raise RefusedError(f"{file} {other}, not UTF-8, in which {expected} is expected. Save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise RefusedError(f"{file}:{line}: not UTF-8, in which {expected} is expected. Save it as UTF-8") from None


def write_whole(file: Path, data: bytes) -> None:
    """A file that holds all of this, or what it held before. Raises OSError."""
    beside = file.with_name(f".{file.name[-100:]}.{os.getpid()}")
    try:
        with beside.open("wb") as target:
            target.write(data)
            target.flush()
            os.fsync(target.fileno())
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)


def check_whole(file: Path, digest: str | None) -> None:
    """Raises RefusedError where a file of an export is not the one that was written. digest: SHA-256 in hex."""
    with file.open("rb") as source:
        if source.read(len(POINTER)) == POINTER:
            raise RefusedError(f"{file} is a pointer of Git LFS, not the file: run `git lfs pull` first")
        source.seek(0)
        found = hashlib.file_digest(source, "sha256").hexdigest() if digest is not None else None
    if found != digest:
        raise RefusedError(
            f"{file} of {file.stat().st_size} bytes is not the file that export.json describes: it is cut off, damaged "
            "or of another export. Copy the whole folder again"
        )


def _bytes(file: Path, expected: str) -> bytes:
    try:
        if not file.is_file():
            raise RefusedError(f"{file}: no such file, where {expected} is expected: correct its name")
        data = file.read_bytes()
    except OSError as error:
        raise RefusedError(
            f"{file} cannot be read: {error.strerror or error}. Copy it again, or allow to read it"
        ) from None
    if data.startswith(POINTER):
        raise RefusedError(f"{file} is a pointer of Git LFS, not the file: run `git lfs pull` first")
    return data
