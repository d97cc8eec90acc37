"""Outputs that are whole or absent: written beside their place, then renamed."""

import errno
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
    if target.exists():
        shutil.rmtree(target)
    partial.rename(target)


def write_whole(target: Path, content: bytes) -> None:
    """A file that holds all of this, or what it held before."""
    partial = target.with_name(f".{target.name}.{threading.get_ident()}")
    try:
        partial.write_bytes(content)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
