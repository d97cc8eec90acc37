"""The real stages on a tiny corpus: killed one after the other, and carried over to another clone."""

import shutil
import sys
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from project import PATIENCE_S, TRAINING, Project, kill_family, make_tiny_project, tiny_params, wait_for

from flows.dvc_state.graph import DigestsError, look
from tasks.runner.event_log import EventReader

KINDS = (
    "corpus", "preprocess", "teacher", "cache_logits", "propagate", "distil", "export", "evaluate", "profile", "report",
)  # fmt: skip
TRAINED = ("teacher", "distil")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, stage_environment: None, prefect_server: str) -> Project:
    """A tiny project after one run. Not to be changed."""
    project = make_tiny_project(tmp_path_factory.mktemp("undisturbed"))
    finish(project, prefect_server)
    return project


@pytest.mark.slow
def test_killed_in_each_stage_the_run_ends_as_if_never_killed(tmp_path, undisturbed, prefect_server):
    """`kill -9` to the flow and all its processes, in each kind of stage in turn; the next run goes on."""
    project = make_tiny_project(tmp_path)
    for kind in KINDS:
        assert any(killed_in(project, kind, prefect_server) for _ in range(3)), f"{kind} was over each time"
    output = finish(project, prefect_server)

    assert "up to date" in project.kd("run"), output
    assert project.untimed_lock() == undisturbed.untimed_lock()
    assert set(project.statuses()) == {"FINISHED", "KILLED"}
    assert files(project) == files(undisturbed)
    wait_for(lambda: not project.processes())


@pytest.mark.slow
def test_what_one_clone_pushed_another_pulls_and_has_nothing_to_do(tmp_path, undisturbed):
    first, second = Project(tmp_path / "first"), Project(tmp_path / "second")
    shutil.copytree(undisturbed.root, first.root, symlinks=True)
    first.dvc("remote", "add", "-q", "-d", "store", str(tmp_path / "store"))
    first.git("add", ".")
    first.git("commit", "-qm", "results")
    first.dvc("push", "-q")
    first.git("clone", "-q", ".", str(second.root))
    assert not (second.root / "data").exists()

    second.dvc("pull", "-q")
    assert "up to date" in second.kd("run")
    assert second.git("status", "--short") == ""
    assert not [run for run in second.runs() if "kd.stage" in run.data.tags], "a stage ran"


@pytest.mark.slow
def test_a_training_by_two_processes_is_one_run_of_one_stage(tmp_path, undisturbed):
    """As docs/guide.md says it."""
    project = Project(tmp_path / "project")
    shutil.copytree(undisturbed.root, project.root, symlinks=True)
    shutil.rmtree(project.root / "models" / "sliced")
    before = len(project.runs())

    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    project.call(*torchrun, "-m", "tasks", "distil", "sliced")
    project.dvc("commit", "-q", "-f", "distil@sliced")

    assert [(run.data.tags["kd.stage"], run.info.status) for run in project.runs()[before:]] == [
        ("distil/sliced", "FINISHED")
    ]
    assert len((project.root / "models" / "sliced" / "history.csv").read_text().splitlines()) == 1 + TRAINING["epochs"]
    assert "distil@sliced" not in look(project.root).stale
    assert list((project.root / "scratch" / "events").iterdir()) == []


@pytest.mark.slow
def test_stages_that_the_flow_forked_left_what_plain_ones_leave(tmp_path, undisturbed):
    """Down to the last bit: DVC alone starts each in a process of its own."""
    project = Project(tmp_path / "project")
    shutil.copytree(undisturbed.root, project.root, symlinks=True)
    stages = ("preprocess", "teacher", "cache_logits", "propagate@sliced", "distil@sliced", "export@sliced")
    project.dvc("repro", "-q", "--force", "--single-item", *stages)
    assert {stage: project.lock()[stage] for stage in stages} == {stage: undisturbed.lock()[stage] for stage in stages}


@pytest.mark.slow
def test_a_canary_is_scored_where_it_is_named_and_gone_where_it_no_longer_is(tmp_path, undisturbed):
    """By `dvc repro` alone; `kd run` then removes its folder, and all is as if there had been none."""
    project = Project(tmp_path / "project")
    shutil.copytree(undisturbed.root, project.root, symlinks=True)
    results, report = (project.root / "reports" / name for name in ("results.csv", "report.html"))
    own = (project.root / "params.yaml").read_text()
    corpus = tiny_params()["corpus"]  # its test voices are in no other part
    project.set("evaluation.canary", {"general": {"corpus": corpus, "limit": 3}})
    project.dvc("repro", "-q")
    before = newest(project)
    assert "canary/general" in before
    table = pd.read_csv(results).set_index("model")
    assert table["canary"].eq("general").all()
    for name in ("teacher", "baseline", "sliced"):
        assert before[f"evaluate/{name}"][1]["canary_wer"] == table.loc[name, "canary_wer"]
    assert "What was forgotten" in report.read_text()

    (project.root / "params.yaml").write_text(own)
    project.dvc("repro", "-q")
    after = newest(project)
    ran = {stage for stage in after if after[stage][0] != before[stage][0]}
    # profile and report come back from DVC's run-cache, from which it leaves out stages whose outputs git keeps
    assert ran == {stage for stage in after if stage.startswith("evaluate")}
    assert "canary" not in results.read_text()
    assert "What was forgotten" not in report.read_text()
    assert project.git("status", "--short", "canary") == ""

    project.kd("run")
    assert not (project.root / "canary" / "general").exists()
    lock = project.untimed_lock()
    del lock["canary@general"]  # what DVC recorded of a stage that is gone stays
    assert lock == undisturbed.untimed_lock()


@pytest.mark.slow
def test_dvc_alone_makes_the_digests_and_what_depends_on_them(tmp_path, stage_environment):
    """In a fresh clone, in which nothing has run."""
    project = make_tiny_project(tmp_path)
    project.dvc("repro", "-q", "corpus")
    assert (project.root / "digests" / "teacher.json").is_file()
    assert project.lock().keys() == {"digests", "corpus"}
    (read,) = [dep for dep in project.lock()["corpus"]["deps"] if dep["path"].startswith("digests")]
    assert read["path"] == "digests/corpus.json"


@pytest.mark.slow
def test_prose_makes_nothing_stale_and_an_importance_no_teacher(tmp_path, undisturbed):
    project = Project(tmp_path / "project")
    shutil.copytree(undisturbed.root, project.root, symlinks=True)
    assert look(project.root).stale == set()
    loss = project.root / "kd" / "losses" / "soft_targets.py"
    loss.write_text(loss.read_text().replace('"""', '"""Edited. ', 1) + "# and remarked upon\n")
    assert look(project.root).stale == set()
    importance = project.root / "kd" / "propagation" / "importance.py"
    importance.write_text(importance.read_text() + "EDITED = 1\n")
    assert look(project.root).stale == {
        f"{stage}@{student}"
        for stage in ("propagate", "distil", "export", "evaluate")
        for student in ("baseline", "sliced")
    } | {"profile", "report"}
    loss.write_text("def (:\n")
    with pytest.raises(DigestsError, match="the digests of the code cannot be made") as failure:
        look(project.root)
    assert "soft_targets.py" in str(failure.value)


def killed_in(project: Project, kind: str, server: str) -> bool:
    """Kill a run in a stage of this kind; False where that stage ended by itself in the last moment."""
    run = project.start_run(server)
    said = "metrics" if kind in TRAINED else "start"
    wait_for(partial(under_way, project, run.pid, kind, said), run, every_s=0.02)
    kill_family(run)
    wait_for(lambda: not project.processes())
    return under_way(project, run.pid, kind, said)


def finish(project: Project, server: str) -> str:
    run = project.start_run(server)
    output = run.communicate(timeout=PATIENCE_S)[0]
    assert run.returncode == 0, output
    return output


def under_way(project: Project, flow: int, kind: str, said: str) -> bool:
    """Whether a stage of this kind, run by this flow's process, has told so much (start, metrics) but not its end."""
    spools = (project.root / "scratch" / "events").glob(f"flow-{flow}-*/{kind}*.jsonl")
    told = [[event["event"] for event in EventReader(event_log).new_events()] for event_log in spools]
    return any(said in events and "end" not in events for events in told)


def newest(project: Project) -> dict[str, tuple[int, dict[str, float]]]:
    """When the newest run of each stage in MLflow began, and its metrics."""
    return {
        run.data.tags["kd.stage"]: (run.info.start_time, run.data.metrics)
        for run in project.runs()
        if "kd.stage" in run.data.tags
    }


def files(project: Project) -> set[Path]:
    """All that a run leaves, by name, without what has names of its own in each run, or is there after some kills."""
    own = {".git", "cache", "tmp", "mlartifacts", "__pycache__", "dvc.lock.broken"}
    found = (path.relative_to(project.root) for path in project.root.rglob("*") if path.is_file())
    return {path for path in found if not own & set(path.parts)}
