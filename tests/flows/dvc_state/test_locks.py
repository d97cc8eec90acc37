"""Locks of DVC that a killed run left behind never stop the next one."""

import json
import os
import subprocess
import sys

import pytest

from flows.dvc_state.graph import look


@pytest.fixture
def zombie():
    """A process that is dead, and that nobody has collected."""
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    yield process.pid
    process.wait()


@pytest.fixture
def sleeper():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(6000)", "repro", "corpus"])
    yield process.pid
    process.kill()
    process.wait()


def write_locks(toy, **owners):
    """`path=(pid, command)`: a write lock on data/PATH."""
    locks = {str(toy.root / "data" / path): {"pid": pid, "cmd": cmd} for path, (pid, cmd) in owners.items()}
    file = toy.root / ".dvc" / "tmp" / "rwlock"
    file.write_text(json.dumps({"write": locks, "read": {path: [owner] for path, owner in locks.items()}}))
    return file


def locked(file):
    locks = json.loads(file.read_text())
    assert set(locks["write"]) == set(locks["read"])
    return {path.rpartition("/")[2] for path in locks["write"]}


def test_only_locks_of_living_processes_that_took_them_stay(finished, zombie, sleeper):
    file = write_locks(
        finished, zombie=(zombie, "dvc repro"), other=(sleeper, "dvc repro teacher"), own=(sleeper, "dvc repro corpus")
    )
    look(finished.root)
    assert locked(file) == {"own"}


def test_a_zombies_lock_stops_no_run(finished, zombie):
    write_locks(finished, raw=(zombie, "dvc repro corpus"))
    assert not look(finished.root).stale


def test_a_lock_file_that_was_half_written_stops_no_run(finished):
    write_locks(finished).write_text('{"write": {"/some')
    assert not look(finished.root).stale
