"""Registers the best student, in a process of its own: flows load no torch."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path


def register_best(root: Path, say: Callable[[str], None] = print) -> None:
    """Run `python -m tasks.tracking.registry`; where that fails, say why in one line."""
    command = [sys.executable, "-m", "tasks.tracking.registry"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, errors="replace", check=False)
    if done.stdout.strip():
        say(done.stdout.strip())
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        say(f"the candidate is not registered ({reason}); the next `kd run` tries again")
