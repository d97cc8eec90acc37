"""Preprocess: its bytes depend on its inputs alone, its memory not on their number, and a kill leaves no trace."""

import os
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import psutil
import pytest
from manifests import KEEP_ALL, good_rows
from project import PATIENCE_S, wait_for

RATE = 16_000
AGAIN = """
import sys, time
from pathlib import Path
from tasks.params.load import load_params
from tasks.runner.paths import Paths
from tasks.stages import preprocess

class HalfWay(preprocess.Draft):
    written = 0
    def add(self, outcome):
        self.written += 1
        if self.written == 40:
            Path("half way").touch()
            time.sleep(6000)
        return super().add(outcome)

preprocess.Draft = HalfWay
if __name__ == "__main__":
    preprocess.run(load_params(Path("params.json")), Paths(Path()))
"""


def test_bytes_depend_neither_on_workers_nor_on_the_folder(project, other_project):
    for place, workers in ((project, 1), (other_project, 2)):
        rows = good_rows(place, each=5)
        place.manifest([*rows, {"path": "lost.wav", "text": "one"}, rows[7] | {"id": "again"}])
        place.prepare(preprocess={"workers": workers})
    first, second = (p.bytes_of(p.paths.prepared) for p in (project, other_project))
    assert set(first) == {
        *("audio.i16", "utterances.parquet", "quarantine.csv", "prepared.json", "card.json", "card.svg"),
    }
    assert first == second


@pytest.mark.slow
def test_memory_does_not_grow_with_the_corpus(project):
    samples = np.random.default_rng(3).integers(-9_000, 9_000, 800 * RATE).astype("<i2")
    path = project.write("session.wav", samples)

    def peak_mb(utterances: int) -> float:
        """Of the Python process; the audio grows by 64 kB an utterance, the tables by about 1 kB."""
        rows = [{"path": path, "text": "one", "start": 2 * i, "end": 2 * i + 2, "speaker": f"{i}"} for i in range(400)]
        project.manifest(rows[:utterances])
        tracemalloc.start()
        project.prepare(preprocess=KEEP_ALL)
        peak = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
        return peak

    peak_mb(4)  # imports
    few, many = peak_mb(100), peak_mb(400)
    assert (project.paths.prepared / "audio.i16").stat().st_size > 25e6
    assert many < few + 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="workers end with a killed parent on Linux")
def test_killed_half_way_it_ends_as_if_never_killed(project, other_project):
    for place in (project, other_project):
        place.manifest(good_rows(place, speakers=12, each=10))
    other_project.prepare()
    project.prepare()
    before = project.bytes_of(project.paths.prepared)
    script = project.root / "again.py"
    script.write_text(AGAIN)
    params = project.params(preprocess={"workers": 2})
    (project.root / "params.json").write_text(params.model_dump_json())
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    running = subprocess.Popen([sys.executable, script], cwd=project.root, env=environment)
    wait_for((project.root / "half way").exists, running)
    family = psutil.Process(running.pid).children(recursive=True)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert family
    assert not psutil.wait_procs(family, timeout=PATIENCE_S)[1]
    assert (project.root / "data" / ".prepared.partial").exists()
    assert project.bytes_of(project.paths.prepared) == before
    project.prepare()
    assert project.bytes_of(project.paths.prepared) == other_project.bytes_of(other_project.paths.prepared)
