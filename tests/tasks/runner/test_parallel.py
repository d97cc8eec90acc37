"""Processes give results in order, with few items under way, and say it when one dies."""

import os
import subprocess
import sys
from functools import partial

import psutil
import pytest
from project import PATIENCE_S, REPO, wait_for

from tasks.runner.parallel import ordered_map

ASLEEP = """
from tasks.runner.parallel import ordered_map
work = "import pathlib, time; pathlib.Path('{}').touch(); time.sleep(6000)"
if __name__ == "__main__":
    list(ordered_map(exec, [work.format("one"), work.format("two")], workers=2))
"""


def test_order_and_bounded_lead():
    taken = []

    def items():
        for i in range(40):
            taken.append(i)
            yield i

    results = []
    for result in ordered_map(partial(divmod, 1000), (i + 1 for i in items()), workers=2):
        results.append(result)
        assert len(taken) - len(results) < 8
    assert results == [divmod(1000, i + 1) for i in range(40)]


def test_errors_arrive_as_they_are():
    with pytest.raises(ZeroDivisionError):
        list(ordered_map(partial(divmod, 1), [1, 0, 1], workers=1))


def test_a_dead_worker_is_an_error_with_a_remedy():
    with pytest.raises(RuntimeError, match=r"worker process died.*preprocess\.workers"):
        list(ordered_map(os._exit, [3], workers=1))


def test_workers_end_with_their_parent_even_where_it_is_killed(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    parent = subprocess.Popen([sys.executable, "-c", ASLEEP], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    wait_for(lambda: (tmp_path / "one").exists() and (tmp_path / "two").exists(), parent)
    workers = workers_of(parent.pid)
    assert len(workers) == 2
    parent.kill()
    parent.wait(timeout=PATIENCE_S)
    assert psutil.wait_procs(workers, timeout=PATIENCE_S)[1] == []


def workers_of(pid):
    return [child for child in psutil.Process(pid).children() if "spawn_main" in " ".join(child.cmdline())]
