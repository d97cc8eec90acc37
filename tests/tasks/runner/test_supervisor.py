"""Who is ended, how, and who is left alone."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest
from project import PATIENCE_S, wait_for

from tasks.runner import supervisor
from tasks.runner.supervisor import alive, kill_tree, start_watchdog, terminate_by_environment

MARK = "KD_TEST_OF_THE_SUPERVISOR"
OBEYS = "import time; print(flush=True); time.sleep(6000)"
IGNORES = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {OBEYS}"
PARENT = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {OBEYS!r}]).wait(); print('saw it end')"

Child = subprocess.Popen[bytes]


@pytest.fixture
def children() -> Iterator[list[Child]]:
    started: list[Child] = []
    yield started
    for child in started:
        with suppress(ProcessLookupError):
            child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


def start(children: list[Child], code: str, **environment: str) -> Child:
    """Returns once the code runs."""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env={**os.environ, **environment})
    children.append(child)
    assert child.stdout is not None
    child.stdout.readline()
    return child


def test_who_ignores_sigterm_is_killed_after_the_grace(children: list[Child]) -> None:
    obeys, ignores = (psutil.Process(start(children, code).pid) for code in (OBEYS, IGNORES))
    supervisor._terminate([obeys], grace_s=PATIENCE_S)
    supervisor._terminate([ignores], grace_s=0.1)
    assert [process.wait(PATIENCE_S) for process in (obeys, ignores)] == [-signal.SIGTERM, -signal.SIGKILL]


def test_a_process_that_has_taken_over_a_pid_is_not_touched(children: list[Child]) -> None:
    child = start(children, OBEYS)
    before = psutil.Process(child.pid)
    before._ident = (child.pid, before.create_time() - 100)  # who had the pid then
    supervisor._terminate([before], grace_s=0.2)
    assert child.poll() is None
    started_s = psutil.Process(child.pid).create_time()
    assert alive(child.pid, since_s=started_s)
    assert not alive(child.pid, since_s=started_s - 100)


def test_a_mark_in_the_environment_ends_those_that_have_it_whoever_cannot_be_read(
    children: list[Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unreadable(psutil.Process):
        def environ(self) -> dict[str, str]:
            raise psutil.AccessDenied(self.pid)

    marked, other, hidden = (start(children, OBEYS, **{MARK: mark}) for mark in ("mine", "yours", "mine"))
    every = [Unreadable(hidden.pid), psutil.Process(other.pid), psutil.Process(marked.pid)]
    monkeypatch.setattr(psutil, "process_iter", lambda: iter(every))
    terminate_by_environment(MARK, "mine")
    assert every[2].wait(PATIENCE_S) == -signal.SIGTERM
    assert other.poll() is None
    assert hidden.poll() is None


def test_a_tree_ends_from_its_leaves_and_a_process_that_is_gone_is_no_error(
    children: list[Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "TIDY_S", PATIENCE_S)
    parent = start(children, PARENT)
    (leaf,) = psutil.Process(parent.pid).children()
    kill_tree(parent.pid)
    assert parent.stdout is not None
    assert parent.stdout.read() == b"saw it end\n"
    assert not alive(leaf.pid)
    kill_tree(parent.pid)


def test_what_is_killed_right_after_its_watchdog_came_leaves_nothing_behind(children: list[Child]) -> None:
    parent = start(children, PARENT)
    (leaf,) = psutil.Process(parent.pid).children()
    start_watchdog(parent.pid)
    parent.kill()
    assert parent.wait(PATIENCE_S) == -signal.SIGKILL
    wait_for(lambda: not alive(leaf.pid))
    assert not alive(leaf.pid)
