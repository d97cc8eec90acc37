"""The comparison in MLflow is sorted by the test error, whatever that was called when its runs were logged."""

from pathlib import Path

import pytest

from tasks.tracking.pipeline_run import comparison_link
from tasks.tracking.runs import experiment_id, open_store


@pytest.mark.parametrize("name", ["test_error", "test_wer", "test_keyword_error"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_it_is_sorted_by_the_name_that_its_runs_have(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`test_error` in histories from before errors said of what."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    client = open_store(tmp_path)
    run = client.create_run(experiment_id(client, tmp_path, "default"), tags={"kd.kind": "pipeline"})
    client.log_metric(run.info.run_id, f"teacher/{name}", 0.25)
    client.log_metric(run.info.run_id, "teacher/params", 9)
    client.set_terminated(run.info.run_id, "FINISHED")
    link = comparison_link(tmp_path, "default", "http://127.0.0.1:5000")
    assert link is not None
    assert f"orderByKey=metrics.%60{name}%60" in link
