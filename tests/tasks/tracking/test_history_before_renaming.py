"""An MLflow store that was written before metrics had their names of now is compared, read and added to."""

import csv
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tasks.params.load import load_params
from tasks.tracking.champion import CANDIDATE, CHAMPION
from tasks.tracking.pipeline_run import PipelineRun, comparison_link, is_recorded
from tasks.tracking.registry import due
from tasks.tracking.runs import open_store

REPO = Path(__file__).parents[3]
BEFORE = REPO / "tests" / "fixtures" / "before_renaming"
NAME = "default"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project that the store belongs to: its results, its lock and the student's export."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "reports").mkdir()
    shutil.copy(BEFORE / "results.csv", tmp_path / "reports")
    shutil.copy(BEFORE / "dvc.lock", tmp_path)
    export = tmp_path / "exports" / "distilled"
    shutil.copytree(BEFORE / "export", export)
    shutil.copy(export / "model.onnx", export / "model.int8_dynamic.onnx")
    shutil.copy(BEFORE / "gate" / "released.json", export)
    open_store(tmp_path)
    rows = (BEFORE / "mlflow.sql").read_text(encoding="utf-8").replace("PROJECT", str(tmp_path))
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        database.executescript(rows)
    return tmp_path


def runs(client: Any, condition: str) -> list[Any]:
    experiment = client.get_experiment_by_name(NAME)
    return list(client.search_runs([experiment.experiment_id], condition))


def test_its_models_are_compared_by_the_name_that_they_have(project: Path) -> None:
    link = comparison_link(project, NAME, "http://127.0.0.1:5000")
    assert link is not None
    assert "orderByKey=metrics.%60test_error%60" in link
    (parent,) = runs(open_store(project), "tags.kd.kind = 'pipeline'")
    assert parent.info.run_id in link
    models = runs(open_store(project), f"tags.mlflow.parentRunId = '{parent.info.run_id}' and tags.kd.kind = 'model'")
    found = {run.data.params["model"]: run.data.metrics["test_error"] for run in models}
    with (BEFORE / "results.csv").open(encoding="utf-8") as file:
        assert found == {row["model"]: float(row["test_error"]) for row in csv.DictReader(file)}


def test_a_stages_curves_are_there(project: Path) -> None:
    client = open_store(project)
    (stage,) = runs(client, "tags.kd.stage = 'distil/distilled'")
    with (BEFORE / "model" / "history.csv").open(encoding="utf-8") as file:
        epochs = list(csv.DictReader(file))
    for name in ("match_loss", "agreement", "rate", "valid_error"):
        history = {point.step: point.value for point in client.get_metric_history(stage.info.run_id, name)}
        assert history == {int(epoch["epoch"]): float(epoch[name]) for epoch in epochs}


def test_its_results_are_recorded_and_registered_already(project: Path) -> None:
    """So the first `kd run` after an update neither repeats the run nor registers the same bytes again."""
    assert is_recorded(project, NAME)
    assert due(project, NAME) == []
    for alias, form in ((CANDIDATE, "float32"), (CHAMPION, "int8_dynamic")):
        version = open_store(project).get_model_version_by_alias(NAME, alias)
        assert (version.tags["student"], version.tags["form"]) == ("distilled", form)
        assert "valid_error" in version.tags


def test_other_bytes_are_due_again(project: Path) -> None:
    file = project / "exports" / "distilled" / "model.int8_dynamic.onnx"
    file.write_bytes(file.read_bytes()[:-1])
    assert [entry.alias for entry in due(project, NAME)] == [CHAMPION]


def test_a_run_of_now_stands_beside_it(project: Path) -> None:
    PipelineRun(project, load_params(REPO / "params.yaml")).finish("FINISHED", {}, {})
    assert len(runs(open_store(project), "tags.kd.kind = 'pipeline'")) == 2
    link = comparison_link(project, NAME, "http://127.0.0.1:5000")
    assert link is not None
    assert "orderByKey=metrics.%60test_wer%60" in link
