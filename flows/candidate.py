"""Registers the best student, in a process of its own: flows load no torch."""

import subprocess
import sys
from pathlib import Path


def register_best(root: Path) -> None:
    """Run `python -m tasks.candidate`; raises CalledProcessError where that fails."""
    subprocess.run([sys.executable, "-m", "tasks.candidate"], cwd=root, check=True)
