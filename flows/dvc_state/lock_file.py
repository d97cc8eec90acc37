"""dvc.lock, which DVC writes in place: a kill or a full disk meanwhile leaves it empty or cut off, and DVC refuses it.

The last whole one is kept beside the resume states. What ended since is in the run cache of the DVC that ran it.
"""

import re
import subprocess
from contextlib import suppress
from pathlib import Path

import yaml

from tasks.runner.atomic_io import write_whole
from tasks.runner.paths import Paths

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The one in C where it is there: ten times as fast."""
CONFLICT = re.compile(rb"^(<<<<<<<|>>>>>>>) ", re.MULTILINE)


def keep_lock_file(root: Path) -> None:
    """Keep a copy of dvc.lock, if it is whole and there is room on the disk."""
    file, copy = root / "dvc.lock", _copy(root)
    with suppress(OSError):
        if file.is_file() and _is_whole(content := file.read_bytes()):
            copy.parent.mkdir(exist_ok=True)
            write_whole(copy, content)


def mend_lock_file(root: Path) -> str | None:
    """Where dvc.lock is cut off, put the last whole one in its place, or git's, or none; gives what was done.

    Nobody may be writing to it meanwhile. A merge conflict is left to whoever merges.
    """
    file, copy = root / "dvc.lock", _copy(root)
    if not file.is_file() or CONFLICT.search(content := file.read_bytes()) or _is_whole(content):
        return None
    copy.parent.mkdir(exist_ok=True)
    aside = copy.with_name("dvc.lock.broken")
    write_whole(aside, content)
    if copy.is_file():
        write_whole(file, copy.read_bytes())
        remedy = "the last whole one is back in its place"
    elif (committed := _committed(root)) is not None:
        write_whole(file, committed)
        remedy = "the one that is committed is in its place"
    else:
        file.unlink()
        remedy = "it begins anew, from DVC's run cache"
    return f"dvc.lock was not whole, as a kill or a full disk leaves it: {remedy}; the broken one is {aside}"


def recorded_outs(root: Path) -> dict[str, tuple[int, int]]:
    """What stages made and DVC recorded, whether the stage is still there or not: path -> bytes and number of files."""
    found: dict[str, tuple[int, int]] = {}
    for file in (_copy(root), root / "dvc.lock"):
        if file.is_file() and _is_whole(content := file.read_bytes()):
            stages = (yaml.load(content, Loader=LOADER) or {}).get("stages", {})
            for out in (out for stage in stages.values() for out in stage.get("outs", ())):
                found[str(out["path"])] = out.get("size", -1), out.get("nfiles", 1)
    return found


def _is_whole(content: bytes) -> bool:
    """Whether DVC would take this for a lock file, and its last line has an end.

    DVC takes part of a hash for a hash. What is cut off between two lines, the run cache has.
    """
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from dvc.utils.strictyaml import YAMLValidationError, validate

    try:
        validate(yaml.load(content, Loader=LOADER) or {}, COMPILED_LOCKFILE_SCHEMA)
    except (yaml.YAMLError, YAMLValidationError):
        return False
    return content.endswith(b"\n")


def _committed(root: Path) -> bytes | None:
    """The file as git has it; None where it has none, or there is no git."""
    with suppress(OSError):
        shown = subprocess.run(["git", "show", "HEAD:./dvc.lock"], cwd=root, capture_output=True, check=False)
        return shown.stdout if shown.returncode == 0 and _is_whole(shown.stdout) else None
    return None


def _copy(root: Path) -> Path:
    return Paths(root).scratch / "dvc.lock"
