"""DVC without the flow: the same lock file, and the same MLflow database, also for experiments in DVC's copies."""

import pytest
from project import REPO


@pytest.mark.slow
def test_dvc_repro_gives_the_flows_lock_file_and_logs_its_runs(toy, first_run):
    toy.dvc("repro", "-q")
    assert toy.untimed_lock() == first_run[0].untimed_lock()
    assert toy.statuses() == ["FINISHED"] * len(toy.lock())


@pytest.mark.slow
def test_an_experiment_in_a_copy_logs_to_the_same_database(finished):
    finished.dvc("config", "--unset", "core.no_scm")
    own = (REPO / ".gitignore").read_text()
    (finished.root / ".gitignore").write_text(f"{own}\n/.dvc/tmp\n/.dvc/cache\n/orders/\n/diary.jsonl\n")
    for command in (["init", "-q"], ["add", "-A", "."], ["commit", "-qm", "start"]):
        finished.git(*command)
    before = len(finished.runs())
    finished.dvc("exp", "run", "--temp", "-S", "name=other")
    new = {run.data.tags["kd.stage"]: run for run in finished.runs()[before:]}
    assert set(new) == {"report"}, "the only stage that reads the name"
    assert new["report"].info.status == "FINISHED"
    assert new["report"].data.params["name"] == "other"
