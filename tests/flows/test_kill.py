"""The run killed at any stage, in any way: nothing is left running, and the next run ends as if never killed."""

import shutil
import signal
import time

import pytest
from project import PATIENCE_S, wait_for

from flows.pipeline import pipeline

LABELS = ("students.baseline.objective.label_weight", 0.5)
SIGNALS = {
    "Ctrl-C": ("distil-baseline", LABELS, signal.SIGINT),
    "SIGTERM": ("evaluate-baseline", ("evaluation.confidence", 0.9), signal.SIGTERM),
    "kill -9": ("propagate-baseline", LABELS, signal.SIGKILL),
}


@pytest.mark.parametrize(("stage", "change", "number"), SIGNALS.values(), ids=SIGNALS)
def test_a_killed_run_leaves_nothing_behind_and_the_next_one_goes_on(finished, prefect_server, stage, change, number):
    finished.set(*change)
    finished.order(stage, "sleep", "6000")
    run = finished.start_run(prefect_server)
    wait_for(lambda: stage in finished.noted("begin"), run)
    time.sleep(1)
    run.send_signal(number)
    output, _ = run.communicate(timeout=PATIENCE_S)
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
    for folder in ("data", "models/teacher", "scratch", ".dvc/cache/runs"):
        shutil.rmtree(finished.root / folder)
    (finished.root / "dvc.lock").unlink()
    finished.order("corpus", "sleep", "6000")
    run = finished.start_run(prefect_server)
    wait_for(lambda: "corpus" in finished.noted("begin"), run)
    run.kill()
    run.communicate(timeout=PATIENCE_S)
    wait_for(lambda: not finished.processes())
    finished.order("corpus")
    pipeline(root=str(finished.root), retries=0)
    assert finished.untimed_lock() == first_run[0].untimed_lock()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_prefects_own_server_does_not_outlive_a_killed_run(finished, tmp_path_factory, monkeypatch, number):
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path_factory.mktemp("prefect")))
    finished.set(*LABELS)
    finished.order("propagate-baseline", "sleep", "6000")
    run = finished.start_run(None)
    wait_for(lambda: "propagate-baseline" in finished.noted("begin"), run)
    time.sleep(2)
    assert any("uvicorn" in command for command in finished.processes())
    run.send_signal(number)
    run.communicate(timeout=PATIENCE_S)
    wait_for(lambda: not finished.processes())
