"""The run killed at any stage, in any way: nothing is left running, and the next run ends as if never killed."""

import shutil
import signal
import threading

import psutil
import pytest
from project import PATIENCE_S, wait_for

from flows.pipeline import pipeline
from flows.run.stage import Job, StageError, run_job

SIGNALS = {
    "Ctrl-C": ("distil-baseline", signal.SIGINT),
    "SIGTERM": ("evaluate-baseline", signal.SIGTERM),
    "kill -9": ("propagate-baseline", signal.SIGKILL),
}


@pytest.mark.parametrize(("stage", "number"), SIGNALS.values(), ids=SIGNALS)
def test_a_killed_run_leaves_nothing_behind_and_the_next_one_goes_on(finished, prefect_server, stage, number):
    finished.outdate(stage.replace("-", "@"))
    finished.order(stage, "sleep", "6000")
    run = finished.start_run(prefect_server)
    kept = finished.root / "scratch" / "resume" / stage
    wait_for(lambda: stage in finished.noted("begin") and list(kept.rglob("step")), run)
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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_where_dvc_is_killed_its_stage_ends_and_has_failed(finished, number):
    finished.outdate("evaluate@baseline")
    finished.order("evaluate-baseline", "sleep", "6000")

    def kill_dvc():
        wait_for(lambda: "evaluate-baseline" in finished.noted("begin"))
        (dvc,) = [process for process in psutil.Process().children() if "repro" in process.cmdline()]
        dvc.send_signal(number)

    killer = threading.Thread(target=kill_dvc)
    killer.start()
    with pytest.raises(StageError, match=f"exit code -{int(number)}"):
        run_job(Job("evaluate@baseline", finished.root, finished.root / "events.jsonl"), threading.Event(), print)
    killer.join()
    assert finished.processes() == []


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
    monkeypatch.setenv("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", f"{PATIENCE_S:g}")
    finished.outdate("propagate@baseline")
    finished.order("propagate-baseline", "sleep", "6000")
    run = finished.start_run(None)
    wait_for(lambda: "propagate-baseline" in finished.noted("begin"), run)
    assert any("uvicorn" in command for command in finished.processes())
    run.send_signal(number)
    run.communicate(timeout=PATIENCE_S)
    wait_for(lambda: not finished.processes())
