"""Events that MLflow did not take at first are logged once it does."""

from pathlib import Path
from typing import Any

import pytest

from tasks.runner.event_log import EventWriter
from tasks.tracking import runs as tracking
from tasks.tracking.runs import Follower, follow, open_store


class Hiccups:
    """A store whose methods each fail the first `times` times: half of the calls before their work, half after it."""

    def __init__(self, client: Any, times: int) -> None:
        self.client, self.times = client, times
        self.calls: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            self.calls[name] = self.calls.get(name, 0) + 1
            if self.calls[name] <= self.times and name in ("log_batch", "set_terminated", "create_run"):
                if name == "log_batch":
                    getattr(self.client, name)(*arguments, **named)
                raise ConnectionError(f"{name}: the database is locked")
            return getattr(self.client, name)(*arguments, **named)

        return call


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stage's whole life."""
    for variable in ("DVC_ROOT", "PIPELINE_RUN_ID", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(variable, raising=False)
    event_log = EventWriter(tmp_path / "events.jsonl")
    event_log.write("start", stage="corpus", experiment="default", params={"corpus": {"seed": 1}}, pid=1)
    for step in range(3):
        event_log.write("metrics", step=step, values={"loss": 1.0 / (step + 1)})
    event_log.write("end", status="FINISHED")
    event_log.close()
    return event_log.path


def break_store(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    monkeypatch.setattr(tracking, "open_store", lambda root: Hiccups(open_store(root), times))


def require_complete(root: Path) -> None:
    client = open_store(root)
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert [run.info.status for run in runs] == ["FINISHED"]
    assert runs[0].data.params == {"corpus.seed": "1"}
    history = client.get_metric_history(runs[0].info.run_id, "loss")
    assert [metric.value for metric in history] == [1.0, 0.5, pytest.approx(1 / 3)]


def test_each_hiccup_is_made_up_for_by_the_next_call(
    events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_store(monkeypatch, times=1)
    follower = Follower(events, tmp_path, parent=None)
    failures = 0
    for _ in range(5):
        try:
            follower.ship()
        except ConnectionError:
            failures += 1
    assert failures >= 3, "creating the run, its parameters or metrics, its end"
    follower.finish()
    require_complete(tmp_path)


def test_the_last_events_are_tried_again(events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "PAUSES_S", (0.01,) * 4)
    break_store(monkeypatch, times=1)
    Follower(events, tmp_path, parent=None).finish()
    require_complete(tmp_path)
    assert not events.exists()


def test_a_stage_by_itself_says_that_nothing_was_logged_and_ends_well(
    events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tracking, "PAUSES_S", (0.01,))
    break_store(monkeypatch, times=1000)
    follow(events, tmp_path).finish()
    assert "not logged to MLflow: ConnectionError: create_run" in capsys.readouterr().err
