"""The MLflow run of a whole pipeline run: parent of the stages' runs, with one run for each model beside them."""

import hashlib
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from tasks.metric_names import ERROR_KINDS, error_name, named_errors, plain_errors
from tasks.params.pipeline import Params
from tasks.runner.paths import Paths
from tasks.tracking.runs import OWNER_TAG, close_dead_runs, experiment_id, open_store

ARTIFACTS = ("dvc.lock", "params.yaml", "reports/results.csv", "reports/report.html")
SORT_BY = "test_error"
"""By the name that code has for it; a run has it by the name of its time and problem."""
LOCK_TAG = "kd.lock"


class PipelineRun:
    """One parent run. Stages that DVC restores from its cache log no run of their own: the parent holds
    every model's metrics, all verdicts, and what is needed to make it again.
    """

    def __init__(self, root: Path, params: Params) -> None:
        self._root = root
        self._client = open_store(root)
        close_dead_runs(self._client)
        self._error_kind = ERROR_KINDS[params.problem.kind]
        self._experiment = experiment_id(self._client, root, params.name)
        tags = {
            "mlflow.runName": time.strftime("pipeline %Y-%m-%d %H:%M:%S"),
            "kd.kind": "pipeline",
            OWNER_TAG: f"{socket.gethostname()} {os.getpid()}",
        }
        self.run_id: str = self._client.create_run(self._experiment, tags=tags).info.run_id

    def finish(self, status: str, verdicts: Mapping[str, str], files: Mapping[str, str]) -> None:
        """Log everything that exists and close the run and whatever child of it is still open.

        status: FINISHED, FAILED or KILLED; files: names and texts to keep as artifacts.
        """
        client = self._client
        for stage, verdict in verdicts.items():
            client.set_tag(self.run_id, f"verdict.{stage.replace('@', '/')}", verdict)
        if status == "FINISHED":
            self._log_models()
            client.set_tag(self.run_id, LOCK_TAG, lock_digest(self._root))
        for name, text in files.items():
            client.log_text(self.run_id, text, name)
        for artifact in ARTIFACTS:
            if (self._root / artifact).is_file():
                client.log_artifact(self.run_id, str(self._root / artifact))
        for child in self._children("attributes.status = 'RUNNING' and "):
            client.set_terminated(child.info.run_id, "KILLED")
        client.set_terminated(self.run_id, status)

    def _log_models(self) -> None:
        """A run for each row of the table, comparable side by side; its numbers also on the parent."""
        from mlflow.entities import Metric, Param

        now_ms = round(time.time() * 1000)
        for row in read_results(self._root):
            row = named_errors(row, self._error_kind)
            name = row["model"]
            numbers = {k: float(v) for k, v in row.items() if isinstance(v, int | float) and not pd.isna(v)}
            words = {k: v for k, v in row.items() if isinstance(v, str)}
            tags = {"mlflow.runName": f"model/{name}", "mlflow.parentRunId": self.run_id, "kd.kind": "model"}
            run_id = self._client.create_run(
                self._experiment, tags={**tags, "kd.dvc_md5": model_md5(self._root, name)}
            ).info.run_id
            self._client.log_batch(
                run_id,
                metrics=[Metric(key, value, now_ms, 0) for key, value in numbers.items()],
                params=[Param(key, value) for key, value in words.items()],
            )
            self._client.set_terminated(run_id, "FINISHED")
            on_parent = [Metric(f"{name}/{key}", value, now_ms, 0) for key, value in numbers.items()]
            self._client.log_batch(self.run_id, metrics=on_parent)

    def _children(self, condition: str = "") -> list[Any]:
        return list(
            self._client.search_runs([self._experiment], f"{condition}tags.mlflow.parentRunId = '{self.run_id}'")
        )


def is_recorded(root: Path, experiment: str) -> bool:
    """Whether the newest finished pipeline run is that of the results that are here now."""
    run = _newest_finished(open_store(root), experiment)
    return run is not None and run.data.tags.get(LOCK_TAG) == lock_digest(root)


def lock_digest(root: Path) -> str:
    """Names all results at once: a hash of dvc.lock, which holds the hash of every one."""
    return hashlib.blake2b((root / "dvc.lock").read_bytes(), digest_size=8).hexdigest()


def _newest_finished(client: Any, experiment: str) -> Any:
    found = client.get_experiment_by_name(experiment)
    finished = "tags.kd.kind = 'pipeline' and attributes.status = 'FINISHED'"
    runs = [] if found is None else client.search_runs([found.experiment_id], finished, max_results=1)
    return runs[0] if runs else None


def read_results(root: Path) -> list[dict[str, Any]]:
    """Rows of reports/results.csv by the names that code has for errors; none if there is no such file.

    Raises ValueError where it is damaged.
    """
    file = Paths(root).reports / "results.csv"
    if not file.is_file():
        return []
    # only an empty cell is missing: a student may be called NA
    try:
        table = pd.read_csv(file, keep_default_na=False, na_values=[""])
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{file} is damaged ({' '.join(str(error).split())[:200]}): `kd run` makes it again") from None
    if "model" not in table:
        raise ValueError(f"{file} is damaged (it has no column model): `kd run` makes it again")
    return [plain_errors({str(key): value for key, value in row.items()}) for row in table.to_dict("records")]


def model_md5(root: Path, name: str) -> str:
    """DVC's hash of a model's folder as dvc.lock has it; empty where it has none."""
    import yaml

    lock = root / "dvc.lock"
    stages = yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"] if lock.is_file() else {}
    outs = (out for stage in stages.values() for out in stage.get("outs", ()))
    return next((out["md5"] for out in outs if out["path"] == f"models/{name}"), "")


def _sort_key(run: Any) -> str:
    """What the test error of a pipeline run's models is called."""
    names = (key.rpartition("/")[2] for key in run.data.metrics)
    return next((name for name in names if error_name(name, "error") == SORT_BY), SORT_BY)


def comparison_link(root: Path, experiment: str, address: str) -> str | None:
    """Deep link to the newest models side by side; None where no pipeline run has finished yet.

    MLflow opens without metric columns otherwise.
    """
    run = _newest_finished(open_store(root), experiment)
    if run is None:
        return None
    only = quote(f"tags.kd.kind = 'model' and tags.mlflow.parentRunId = '{run.info.run_id}'")
    view = (
        f"workflowType=machine_learning&compareRunsMode=CHART&orderByKey=metrics.%60{_sort_key(run)}%60&orderByAsc=true"
    )
    return f"{address}/#/experiments/{run.info.experiment_id}/runs?searchFilter={only}&{view}"
