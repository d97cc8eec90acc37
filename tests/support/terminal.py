"""What a command draws in a terminal."""

import os
import pty
import re
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path


def drawn_by(command: Sequence[str], cwd: Path) -> list[str]:
    """Lines that it writes to a terminal of 100 columns, one after the other, without colours and movements.

    Raises CalledProcessError where it fails.
    """
    leader, follower = pty.openpty()
    places = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])  # frames is there
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "PYTHONPATH": places}
    process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=follower, stderr=follower)
    os.close(follower)
    drawn = b""
    with suppress(OSError):  # Linux's way to say that nobody writes any more
        while more := os.read(leader, 2**16):
            drawn += more
    os.close(leader)
    if process.wait():
        raise subprocess.CalledProcessError(process.returncode, command, drawn)
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn.decode()))
    return [line.strip() for line in lines]
