"""`python -m tasks` with a warm process at hand: hand the stage over to it, and be the stage to whoever started us.

Signals go to the stage, its exit code comes back, and where we are killed the warm process ends the stage.
Loads nothing that is slow to load.
"""

import json
import os
import signal
import socket
import sys
from pathlib import Path
from types import FrameType

VARIABLE = "KD_WARM"
"""Set by the flow: the name of the warm process's socket (in Linux's abstract namespace, so that no file is left)."""

PLAIN = "plain"
"""The warm process's answer where the stage needs a process of its own."""

LOST = 137
"""Exit code where the warm process died under us."""


def run_warm(arguments: list[str]) -> int | None:
    """Exit code of the stage, run by the warm process; None where there is none, or it declines."""
    name = os.environ.get(VARIABLE)
    if not name or "RANK" in os.environ:
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(f"\0{name}")
        except OSError:
            return None
        pid = 0

        def hand_on(number: int, frame: FrameType | None) -> None:
            if pid:
                os.kill(pid, number)
            else:
                sys.exit(128 + number)  # the stage sees us go

        signal.signal(signal.SIGTERM, hand_on)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the stage is in our process group and gets its own
        request = json.dumps({"arguments": arguments, "cwd": str(Path.cwd()), "environment": dict(os.environ)}).encode()
        socket.send_fds(connection, [len(request).to_bytes(8, "big")], [0, 1, 2])
        try:
            connection.sendall(request)
            answers = connection.makefile("r")
            first = answers.readline().strip()
            if first.isdigit():
                pid = int(first)
                last = answers.readline().strip()
                return int(last) if last else LOST
        except OSError:
            return LOST if pid else None
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return None
