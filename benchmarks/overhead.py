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

from tasks.tracking.runs import open_store


def main() -> None:
    root = Path()
    started_s, clock_s = time.time(), time.perf_counter()
    subprocess.run([sys.executable, "-m", "flows.cli", "run", "--jobs", "1", "--force"], cwd=root, check=True)
    whole_s = time.perf_counter() - clock_s
    seconds = seconds_since(started_s, root)
    inside_s = sum(seconds.values())
    for stage, stage_s in seconds.items():
        print(f"{stage:24} {stage_s:8.1f} s")
    each_s = (whole_s - inside_s) / len(seconds)
    print(f"{len(seconds)} stages, {inside_s:.1f} s inside run(), {whole_s:.1f} s in all, {os.cpu_count()} cores")
    print(f"overhead: {whole_s / inside_s:.3f} times, {each_s:.2f} s a stage")


def seconds_since(started_s: float, root: Path) -> dict[str, float]:
    """Seconds inside run() by stage (as in distil/baseline), of those that began since, as MLflow has them."""
    client = open_store(root)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    since = f"attributes.start_time >= {int(1000 * started_s)}"
    runs = client.search_runs(experiments, since, order_by=["attributes.start_time"])
    return {run.data.tags["kd.stage"]: run.data.metrics["run_seconds"] for run in runs if "kd.stage" in run.data.tags}


if __name__ == "__main__":
    main()
