"""A search in MLflow: one run for it, which goes on when the search does, and below it one for each trial."""

import os
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

from tasks.experiments.tune.settings import Search
from tasks.tracking.runs import OWNER_TAG, Follower, Following, close_dead_runs, experiment_id, open_store


class Record:
    """run_id: of an earlier call of the same search; None begins a new one."""

    def __init__(self, search: Search, root: Path, run_id: str | None) -> None:
        self._root = root
        self._client = open_store(root)
        close_dead_runs(self._client)
        experiment = experiment_id(self._client, root, f"search-{search.name}")
        tags = {"mlflow.runName": f"search {search.name}", "kd.kind": "search"}
        if run_id is None or not self._exists(experiment, run_id):
            run_id = self._client.create_run(experiment, tags=tags).info.run_id
        self.run_id: str = str(run_id)
        self._client.update_run(self.run_id, status="RUNNING")
        self._client.set_tag(self.run_id, OWNER_TAG, f"{socket.gethostname()} {os.getpid()}")

    def follow(self, events: Path) -> Following:
        """Copy a trial's events into a run of its own, while it works."""
        return Following(Follower(events, self._root, self.run_id))

    def finish(self, status: str, metrics: Mapping[str, float], files: Iterable[Path], note: str) -> None:
        """Keep the search's figures, table and picture, and close its run; note: what is said of it."""
        for key, value in metrics.items():
            self._client.log_metric(self.run_id, key, value)
        for file in files:
            self._client.log_artifact(self.run_id, str(file))
        self._client.set_tag(self.run_id, "mlflow.note.content", note)
        self._client.set_terminated(self.run_id, status)

    def _exists(self, experiment: str, run_id: str) -> bool:
        return any(run.info.run_id == run_id for run in self._client.search_runs([experiment], max_results=1000))
