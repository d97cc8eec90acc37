"""MLflow: where its database lies, and how a stage's events become a run.

MLflow is slow to load, so it is imported inside functions, and a stage without the flow follows
its own events on a thread while it works.
"""

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tasks.runner.event_log import Event, EventReader
from tasks.runner.supervisor import alive

PARENT_VARIABLE = "PIPELINE_RUN_ID"
"""Set by the flow: the parent of the runs of the stages. (Never MLFLOW_RUN_ID: every process would log into that.)"""

SHIP_EVERY_S = 5.0
PAUSES_S = (0.2, 1.0)
"""Before a stage's last events are tried once more, and given up."""
OWNER_TAG = "kd.owner"


def tracking_uri(root: Path) -> str:
    """MLFLOW_TRACKING_URI where set, else one database for the project, also for `dvc exp run` in its copies."""
    given = os.environ.get("MLFLOW_TRACKING_URI")
    return given or f"sqlite:///{_home(root) / 'mlflow.db'}"


def open_store(root: Path) -> Any:
    """An MlflowClient. The database is made under a lock: several processes at once leave it broken."""
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    from filelock import FileLock
    from mlflow import MlflowClient

    lock = _home(root) / "scratch" / "mlflow.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        client = MlflowClient(tracking_uri(root))
        client.search_experiments(max_results=1)
    return client


def experiment_id(client: Any, root: Path, name: str) -> str:
    """The experiment of this name, made if missing, its artifacts beside the database."""
    from filelock import FileLock

    with FileLock(_home(root) / "scratch" / "mlflow.lock"):
        found = client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        local = not os.environ.get("MLFLOW_TRACKING_URI")
        place = (_home(root) / "mlartifacts" / name).as_uri() if local else None
        return str(client.create_experiment(name, artifact_location=place))


def begin_run(client: Any, experiment: str, name: str, parent: str | None, started_s: float, pid: int) -> str:
    """A new run that says which process it belongs to, so that it can be closed if that process dies."""
    tags = {"mlflow.runName": name, "mlflow.source.name": f"python -m tasks {name.replace('/', ' ')}"}
    tags |= {"mlflow.source.type": "LOCAL", "kd.stage": name, OWNER_TAG: f"{socket.gethostname()} {pid}"}
    if parent:
        tags["mlflow.parentRunId"] = parent
    run = client.create_run(experiment, start_time=round(started_s * 1000), tags=tags)
    return str(run.info.run_id)


def close_dead_runs(client: Any) -> int:
    """Mark as KILLED the runs whose process on this machine is gone (by kill -9, say); gives their number."""
    experiments = [e.experiment_id for e in client.search_experiments()]
    closed = 0
    for run in client.search_runs(experiments, "attributes.status = 'RUNNING'"):
        host, _, pid = run.data.tags.get(OWNER_TAG, "").partition(" ")
        if host == socket.gethostname() and not alive(int(pid), run.info.start_time / 1000):
            client.set_terminated(run.info.run_id, "KILLED")
            closed += 1
    return closed


class Follower:
    """Copies one stage's events into an MLflow run, live or afterwards. `ship` may be called at any time."""

    def __init__(self, events: Path, root: Path, parent: str | None) -> None:
        self._reader = EventReader(events)
        self._root = root
        self._parent = parent
        self._waiting: list[Event] = []
        self._client: Any = None
        self._run_id: str | None = None
        self._ended = False

    def ship(self) -> None:
        """Log whatever is new. Where this raises, the next call logs it again: MLflow keeps equal metrics once."""
        self._waiting += self._reader.new_events()
        events = self._waiting
        if not events:
            return
        if self._client is None:
            self._client = open_store(self._root)
        for event in events:
            if event["event"] == "start":
                self._begin(event)
        metrics = list(_metrics(events))
        for first in range(0, len(metrics), 1000):  # MLflow's limit for a batch
            self._client.log_batch(self._run_id, metrics=metrics[first : first + 1000])
        for event in events:
            if event["event"] == "end":
                self._end(event["status"], event["time_s"])
        self._waiting = []

    def finish(self, status: str = "KILLED") -> None:
        """Ship the rest; a run whose stage died without a word gets `status`. After a hiccup it tries again."""
        for pause_s in (*PAUSES_S, None):
            try:
                self.ship()
                if self._run_id is not None and not self._ended:
                    self._end(status)
                break
            except Exception:
                if pause_s is None:
                    raise
                time.sleep(pause_s)
        self._reader.path.unlink(missing_ok=True)

    def _begin(self, event: Event) -> None:
        from mlflow.entities import Param

        if self._run_id is None:
            experiment = experiment_id(self._client, self._root, event["experiment"])
            self._run_id = begin_run(
                self._client, experiment, event["stage"], self._parent, event["time_s"], event["pid"]
            )
        params = [Param(key, str(value)[:6000]) for key, value in flatten(event["params"])]
        for first in range(0, len(params), 100):  # MLflow's limit for a batch
            self._client.log_batch(self._run_id, params=params[first : first + 100])

    def _end(self, status: str, time_s: float | None = None) -> None:
        self._client.set_terminated(self._run_id, status, None if time_s is None else round(time_s * 1000))
        self._ended = True


class Following:
    """A follower on a thread of its own, for a stage that runs without the flow."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="mlflow", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Wait until everything is logged."""
        self._over.set()
        self._thread.join()

    def _loop(self) -> None:
        while not self._over.wait(SHIP_EVERY_S):
            with suppress(Exception):  # what was not logged is tried again
                self._follower.ship()
        try:
            self._follower.finish()
        except Exception as error:
            print(f"not logged to MLflow: {type(error).__name__}: {error}", file=sys.stderr, flush=True)


def follow(events: Path, root: Path) -> Following:
    """Begin to copy a stage's events into MLflow."""
    return Following(Follower(events, root, os.environ.get(PARENT_VARIABLE)))


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and their values; what is no mapping stays whole."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _metrics(events: list[Event]) -> Iterator[Any]:
    from mlflow.entities import Metric

    for event in events:
        if event["event"] == "metrics":
            for key, value in event["values"].items():
                yield Metric(key, float(value), round(event["time_s"] * 1000), event["step"])


def _home(root: Path) -> Path:
    """The project's folder; inside `dvc exp run`, the one its copy was made from."""
    return Path(os.environ.get("DVC_ROOT") or root).resolve()
