"""benchmarks/overhead.py starts; what it measures of stages that take no time is no claim."""

import os
import subprocess
import sys

import pytest
import yaml
from project import REPO


@pytest.mark.slow
def test_overhead(toy, prefect_server):
    graph = yaml.safe_load((toy.root / "dvc.yaml").read_text())
    graph["stages"] = {stage: graph["stages"][stage] for stage in ("corpus", "preprocess", "teacher")}
    (toy.root / "dvc.yaml").write_text(yaml.safe_dump(graph, sort_keys=False))
    environment = {**os.environ, "PREFECT_API_URL": prefect_server}
    command = [sys.executable, str(REPO / "benchmarks" / "overhead.py")]
    done = subprocess.run(command, cwd=toy.root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 stages" in done.stdout
    assert "s inside run()" in done.stdout
