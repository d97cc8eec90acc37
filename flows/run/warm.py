"""The warm process of a run: started with it, ended with it, and a run without one works alike."""

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from flows.dvc_state.graph import Node
from tasks.runner.harness import threads_of

THREADLESS = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""Arrow's memory allocator otherwise starts a thread when it is imported; what has threads cannot be forked."""

PATIENCE_S = 60.0
"""With a warm process that is told to end, and may still be loading."""

FEWEST = 3
"""Stages for which it pays to load everything ahead."""


@contextmanager
def warm_process(root: Path, todo: Iterable[Node]) -> Iterator[str | None]:
    """Name of the socket of a process that runs these stages; None where it would not pay, or not on Linux.

    It pays for some stages, of this project's own code. Stages that must have the machine to themselves measure times,
    and get a process of their own.
    """
    stages = [node for node in todo if not node.exclusive]
    threads = threads_of("evaluate", root=root)
    ours = (root / "tasks" / "runner" / "warm.py").is_file()
    if sys.platform != "linux" or not ours or len(stages) < FEWEST or not threads:
        yield None
        return
    name = f"kd-{os.getpid()}-{time.time_ns()}"
    libraries = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    process = subprocess.Popen(
        [sys.executable, "-m", "tasks", "--warm", name, str(threads)],
        cwd=root, env={**os.environ, **libraries, **THREADLESS, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield name
    finally:
        try:
            process.communicate(timeout=PATIENCE_S)  # the end of its input ends it
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
