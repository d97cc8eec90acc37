"""A process that ends itself when another one is gone."""

import os
import signal
import threading
import time

import psutil

LOOK_EVERY_S = 1.0
GRACE_S = 10.0
CLOCK_SLACK_S = 2.0
"""Linux gives starts of processes to 10 ms, counted from a start of the machine that it rounds to 1 s."""


def end_with(pid: int) -> None:
    """Watch process `pid`: once it is gone, SIGTERM to ourselves, and after GRACE_S a hard end."""
    threading.Thread(target=_watch, args=(pid,), name="guard", daemon=True).start()


def alive(pid: int, since_s: float | None = None) -> bool:
    """Whether process `pid` runs: a zombie does not, nor does another that got the number after `since_s`."""
    try:
        process = psutil.Process(pid)
        started_s = process.create_time()
        return process.status() != psutil.STATUS_ZOMBIE and (since_s is None or started_s <= since_s + CLOCK_SLACK_S)
    except psutil.NoSuchProcess:
        return False


def _watch(pid: int) -> None:
    while alive(pid):
        time.sleep(LOOK_EVERY_S)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(137)
