"""Outputs that are whole or absent: written beside their place, synced, then renamed; what is broken is put aside."""

import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def fresh_folder(target: Path) -> Iterator[Path]:
    """An empty folder that takes the place of `target` when the block ends well.

    Where the block raises, or the process is killed, `target` stays as it was; the next call clears what
    was left beside it. Raises OSError with the remedy where the disk is full.
    """
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(
                error.errno, f"no space left for {target}: what was half written is removed. Free some and run again"
            ) from error
        raise
    for file in partial.rglob("*"):
        if file.is_file() and not file.is_symlink():
            sync(file)
    if target.exists():
        shutil.rmtree(target)
    partial.rename(target)
    sync(target.parent)


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """A path beside `target` to write to; it takes `target`'s place when the block ends well.

    It is on the disk before it is renamed, so that after a power cut `target` is the old file or the new one.
    What killed processes left beside it is cleared first.
    """
    _clear_killed(target)
    partial = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        yield partial
        sync(partial)
        partial.replace(target)
        sync(target.parent)
    finally:
        partial.unlink(missing_ok=True)


def _clear_killed(target: Path) -> None:
    for left in target.parent.glob(f".{escape(target.name)}.*-*"):
        pid = left.name.removeprefix(f".{target.name}.").partition("-")[0]
        if pid.isdigit() and not _runs(int(pid)):
            left.unlink(missing_ok=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # asks, and sends nothing
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def write_whole(target: Path, content: bytes | str) -> None:
    """A file that holds all of this, or what it held before; text is written as UTF-8."""
    with whole_file(target) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def write_parquet(target: Path, table: "pd.DataFrame") -> None:
    """A table without its index, as `write_whole` writes."""
    with whole_file(target) as partial:
        table.to_parquet(partial, index=False)


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def put_aside(path: Path, why: str, say: Callable[[str], None] = print) -> Path:
    """Rename what cannot be read to `NAME.broken` (or `.broken-2`, …), say so in one line, and give the new path."""
    aside, number = path.with_name(f"{path.name}.broken"), 2
    while aside.exists():
        aside, number = path.with_name(f"{path.name}.broken-{number}"), number + 1
    path.rename(aside)
    reason = " ".join(why.split())[:160]
    say(f"{path} cannot be read ({reason}): it is put aside as {aside.name}, and begun anew")
    return aside
