"""The run killed at any stage, in any way: nothing is left running, and the next run ends as if never killed."""

import os
import signal
import subprocess
import sys
import time

import pytest

from flows.pipeline import pipeline

KD = [sys.executable, "-c", "from flows.cli import main; main()"]

SIGNALS = {
    "Ctrl-C": ("distil-baseline", signal.SIGINT),
    "SIGTERM": ("evaluate-baseline", signal.SIGTERM),
    "kill -9": ("propagate-baseline", signal.SIGKILL),
}


@pytest.mark.parametrize(("stage", "number"), SIGNALS.values(), ids=SIGNALS)
def test_a_killed_run_leaves_nothing_behind_and_the_next_one_goes_on(finished, prefect_server, stage, number):
    finished.set("students.baseline.objective.labels", 0.5)
    finished.order(stage, "sleep", "60")
    run = start(finished, prefect_server)
    wait_for(lambda: stage in finished.noted("begin"), run)
    time.sleep(1)
    run.send_signal(number)
    output, _ = run.communicate(timeout=60)
    assert run.returncode != 0, output
    wait_for(lambda: not finished.processes())
    if number != signal.SIGKILL:
        assert "RUNNING" not in finished.statuses(), output

    finished.order(stage, "sleep", "2")
    finished.forget()
    verdicts = pipeline(root=str(finished.root), retries=0)
    assert stage in finished.noted("resumed"), "it began from scratch"
    assert verdicts["report"] == "ran"
    assert "RUNNING" not in finished.statuses()


@pytest.mark.slow
def test_the_result_is_that_of_an_undisturbed_run(finished, first_run, prefect_server):
    """Killed at the corpus, the run ends in the lock file that the first, undisturbed run made."""
    for file in ("dvc.lock", "data", "models/teacher", "scratch"):
        remove(finished.root / file)
    remove(finished.root / ".dvc" / "cache" / "runs")
    finished.order("corpus", "sleep", "60")
    run = start(finished, prefect_server)
    wait_for(lambda: "corpus" in finished.noted("begin"), run)
    run.kill()
    run.communicate(timeout=60)
    wait_for(lambda: not finished.processes())
    finished.order("corpus")
    pipeline(root=str(finished.root), retries=0)
    timed = {"measure", "report"}
    ours, theirs = finished.lock(), first_run[0].lock()
    assert {k: v for k, v in ours.items() if k not in timed} == {k: v for k, v in theirs.items() if k not in timed}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_prefects_own_server_does_not_outlive_a_killed_run(finished, tmp_path_factory, monkeypatch, number):
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path_factory.mktemp("prefect")))
    finished.set("students.baseline.objective.labels", 0.5)
    finished.order("propagate-baseline", "sleep", "60")
    run = start(finished, None)
    wait_for(lambda: "propagate-baseline" in finished.noted("begin"), run, timeout_s=120)
    time.sleep(2)
    assert any("uvicorn" in command for command in finished.processes())
    run.send_signal(number)
    run.communicate(timeout=60)
    wait_for(lambda: not finished.processes())


def start(toy, server):
    environment = {key: value for key, value in os.environ.items() if key != "PREFECT_API_URL"}
    environment |= {} if server is None else {"PREFECT_API_URL": server}
    return subprocess.Popen(
        [*KD, "run"], cwd=toy.root, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def wait_for(condition, process=None, timeout_s=60.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        if process is not None and process.poll() is not None:
            raise AssertionError(f"ended too early:\n{process.communicate()[0]}")
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.2)


def remove(path):
    import shutil

    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
