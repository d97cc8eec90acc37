"""Several rounds over the same files in this process, told to whoever started it. Standard library alone."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path


def tell_rounds(transcribe: Callable[[str], str], files: Sequence[str], repeats: int, started_s: float) -> None:
    """Print texts, seconds of each round, seconds from `started_s` to the first text, and peak memory, as JSON."""
    transcribe(files[0])
    start_s, rounds = time.perf_counter() - started_s, []
    for _ in range(repeats):
        begun = time.perf_counter()
        texts = [transcribe(file) for file in files]
        rounds.append(time.perf_counter() - begun)
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak_mb = int(status.split("VmHWM:")[1].split()[0]) / 1024  # ru_maxrss would hold the parent's as well
    print(json.dumps({"texts": texts, "rounds_s": rounds, "start_s": start_s, "peak_mb": peak_mb}))
