"""A process that ends itself when another one is gone."""

import os
import signal
import threading
import time

import psutil

LOOK_EVERY_S = 1.0
GRACE_S = 10.0


def end_with(pid: int) -> None:
    """Watch process `pid`: once it is gone, SIGTERM to ourselves, and after GRACE_S a hard end."""
    threading.Thread(target=_watch, args=(pid,), name="guard", daemon=True).start()


def _watch(pid: int) -> None:
    while psutil.pid_exists(pid):
        time.sleep(LOOK_EVERY_S)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(137)
