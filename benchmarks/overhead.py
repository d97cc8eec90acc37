"""What orchestration costs: seconds of the whole flow, one stage at a time, over seconds inside the stages' run().

`python benchmarks/overhead.py` in the project's folder, on a machine that does nothing else. It runs every
stage, up to date or not, and so takes as long as a first `make run`. All that is not inside run() counts as
overhead: starting Prefect, DVC, Python and torch for each stage, hashing, MLflow, the registry.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that it runs from a checkout, by its path alone

from tasks.runner.stage_durations import read_timings


def main() -> None:
    root = Path()
    started_s, clock_s = time.time(), time.perf_counter()
    subprocess.run([sys.executable, "-m", "flows.cli", "run", "--jobs", "1", "--force"], cwd=root, check=True)
    whole_s = time.perf_counter() - clock_s
    timings = [timing for timing in read_timings(root) if timing.started_s >= started_s]
    inside_s = sum(timing.seconds for timing in timings)
    for timing in timings:
        print(f"{timing.stage:24} {timing.seconds:8.1f} s")
    each_s = (whole_s - inside_s) / len(timings)
    print(f"{len(timings)} stages, {inside_s:.1f} s inside run(), {whole_s:.1f} s in all, {os.cpu_count()} cores")
    print(f"overhead: {whole_s / inside_s:.3f} times, {each_s:.2f} s a stage")


if __name__ == "__main__":
    main()
