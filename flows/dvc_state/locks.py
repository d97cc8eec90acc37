"""Locks that killed DVC processes left in .dvc/tmp/rwlock.

DVC drops those whose process number is free. It does not drop a zombie's (in a container without an init nobody
collects those), nor one whose number another process has got since, and it refuses a file that was half written.
"""

import json
from pathlib import Path
from typing import Any

from tasks.runner.atomic_io import write_whole
from tasks.runner.supervisor import runs_command


def release_dead_locks(repo: Any) -> None:
    """Keep only the locks of processes that run. `repo` is a dvc.repo.Repo."""
    from dvc.lock import make_lock
    from dvc.rwlock import RWLOCK_FILE, RWLOCK_LOCK

    file = Path(repo.tmp_dir) / RWLOCK_FILE
    if not file.is_file():
        return
    guard = str(file.with_name(RWLOCK_LOCK))
    with make_lock(guard, tmp_dir=repo.tmp_dir, hardlink_lock=repo.config["core"].get("hardlink_lock", False)):
        try:
            locks = json.loads(file.read_text(encoding="utf-8"))
        except ValueError:
            file.unlink()
            return
        writes = {path: owner for path, owner in locks.get("write", {}).items() if _owned(owner)}
        reads = {path: [owner for owner in owners if _owned(owner)] for path, owners in locks.get("read", {}).items()}
        kept = {"write": writes, "read": {path: owners for path, owners in reads.items() if owners}}
        write_whole(file, json.dumps(kept))


def _owned(owner: dict[str, Any]) -> bool:
    """Whether the process is there that took the lock."""
    return runs_command(int(owner["pid"]), owner["cmd"])
