"""Ends what a process leaves behind when it dies without a chance to tidy up (by `kill -9`, say).

`python -m flows.watchdog PID` remembers the descendants of PID, once a second, and ends those that outlive it.
"""

import os
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache

import psutil

LOOK_EVERY_S = 1.0
GRACE_S = 5.0


@cache
def start_watchdog(pid: int) -> None:
    """Let a process of its own, which is no child of ours, watch process `pid` to its end; once for each `pid`.

    It outlives us on purpose: on SIGTERM Prefect leaves its temporary server behind.
    """
    nothing = subprocess.DEVNULL
    command = [sys.executable, "-m", "flows.watchdog", str(pid)]
    subprocess.run(command, check=True, stdin=nothing, stdout=nothing, stderr=nothing)


def watch(pid: int) -> None:
    """Wait for the end of process `pid`, then end its descendants."""
    family: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        head = psutil.Process(pid)
        while head.is_running() and head.status() != psutil.STATUS_ZOMBIE:
            known = [process for process in family if process.is_running()]
            family = list({*known, *head.children(recursive=True)} - {psutil.Process()})
            time.sleep(LOOK_EVERY_S)
    for process in family:
        with suppress(psutil.NoSuchProcess):  # also raised where another process has got the number meanwhile
            process.terminate()
    for process in psutil.wait_procs(family, timeout=GRACE_S)[1]:
        with suppress(psutil.NoSuchProcess):
            process.kill()


if __name__ == "__main__":
    os.setsid()
    if os.fork() == 0:
        watch(int(sys.argv[1]))
