"""Ending a process with all that it started."""

import os
import sys
from contextlib import suppress
from pathlib import Path

import psutil


def kill_tree(pid: int, grace_s: float = 10.0) -> None:
    """End a process and its descendants: SIGTERM to the descendants, so that they can put their things in
    order, then after `grace_s` SIGKILL to whatever is left. Nothing happens if the process is gone.
    """
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        tree = root.children(recursive=True)
        for process in tree or [root]:
            with suppress(psutil.NoSuchProcess):
                process.terminate()
        _, alive = psutil.wait_procs(tree, timeout=grace_s)
        for process in [*root.children(recursive=True), *alive]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        with suppress(psutil.TimeoutExpired):
            root.wait(timeout=2.0)
        root.kill()


def our_python_first() -> dict[str, str]:
    """Our environment, in which `python`, as dvc.yaml says it, is the Python that runs us."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path}
