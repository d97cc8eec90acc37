"""The harness: wrong parameters, an orderly end in every case, resume folders, what reaches MLflow."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from project import PATIENCE_S, wait_for

from tasks.runner.event_log import EventReader, EventWriter
from tasks.runner.resume import open_scratch, scratch_key
from tasks.tracking.runs import Follower, close_dead_runs, open_store

REPO = Path(__file__).parents[3]

STAGES = """
import time
from pathlib import Path
def run(params, paths, name, watch):
    (paths.root / "threads").write_text(__import__("os").environ["OMP_NUM_THREADS"])
    order = (paths.root / "order").read_text()
    if order != "keep nothing":
        (watch.scratch / "state").write_text("half")
    watch.metrics({"loss": 0.5}, step=1)
    if order == "fail":
        raise ValueError("the corpus is empty")
    while order == "sleep":
        (paths.root / "began").touch()
        time.sleep(0.1)
    return {"rows": 3}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which every stage is the one above."""
    (tmp_path / "params.yaml").write_text((REPO / "params.yaml").read_text())
    (tmp_path / "dvc.yaml").write_text((REPO / "dvc.yaml").read_text())
    (tmp_path / "toy_stage.py").write_text(STAGES)
    patch = "import sys\nif 'tasks' in sys.orig_argv:\n import tasks.runner.harness as h\n"
    (tmp_path / "sitecustomize.py").write_text(f"{patch} h.STAGES.update(dict.fromkeys(h.STAGES, 'toy_stage'))\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{REPO}")
    for variable in ("DVC_ROOT", "KD_EVENTS", "KD_FLOW_PID", "PIPELINE_RUN_ID", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


def start(project: Path, order: str, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
    (project / "order").write_text(order)
    return subprocess.Popen(
        [sys.executable, "-m", "tasks", *arguments], cwd=project, env={**os.environ, **environment}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(process: "subprocess.Popen[str]") -> tuple[int, str]:
    output = "".join(process.communicate(timeout=PATIENCE_S))
    return process.returncode, output


def runs(project: Path) -> list[Any]:
    client = open_store(project)
    return list(client.search_runs([e.experiment_id for e in client.search_experiments()]))


def wait_until_begun(project: Path) -> None:
    wait_for((project / "began").exists)


def test_wrong_parameters_are_one_line_each_and_exit_code_2(project: Path) -> None:
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["teacher"]["training"]["epoch"] = 3
    params["student_training"]["epochs"] = "many"
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    code, output = finish(start(project, "", "corpus"))
    assert code == 2
    assert "teacher.training.epoch: unknown key; did you mean 'epochs'?" in output
    assert "student_training.epochs" in output
    assert "Traceback" not in output
    assert not (project / "mlflow.db").exists()


def test_unknown_stages_and_names_are_refused(project: Path) -> None:
    assert finish(start(project, "", "train"))[0] == 2
    code, output = finish(start(project, "", "distil", "nobody"))
    assert code == 2
    assert "python -m tasks distil nobody" in output


def test_a_stage_by_itself_becomes_a_run_and_keeps_its_scratch_until_dvc_has_its_outputs(project: Path) -> None:
    code, output = finish(start(project, "", "distil", "baseline"))
    assert code == 0, output
    run = runs(project)[0]
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "distil/baseline"
    assert run.data.metrics["rows"] == 3
    assert run.data.metrics["loss"] == 0.5
    assert run.data.params["students.baseline.init"] == "random"
    threads = yaml.safe_load((project / "params.yaml").read_text())["student_training"]["threads"]
    assert (project / "threads").read_text() == str(threads)
    assert len(list((project / "scratch" / "resume" / "distil-baseline").rglob("state"))) == 1
    assert not list((project / "scratch" / "events").iterdir())


def test_a_stage_that_keeps_nothing_hashes_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashing = (
        "import tasks.runner.resume as s\ns._fingerprint = lambda file: (_ for _ in ()).throw(OSError('hashed'))\n"
    )
    (project / "sitecustomize.py").write_text((project / "sitecustomize.py").read_text() + hashing)
    (project / "corpora").mkdir()
    (project / "corpora" / "README.md").write_text("a corpus")
    code, output = finish(start(project, "keep nothing", "corpus"))
    assert code == 0, output
    kept = {path.name for path in (project / "scratch" / "resume").rglob("*") if path.is_file()}
    assert kept == {"begun"}, "what it kept lies under a hash"
    code, output = finish(start(project, "", "corpus"))
    assert "OSError: hashed" in output, "the corpus is no input"


def test_a_failing_stage_ends_its_run_as_failed_and_keeps_its_scratch(project: Path) -> None:
    code, output = finish(start(project, "fail", "corpus"))
    assert code == 1
    assert "ValueError: the corpus is empty" in output
    assert runs(project)[0].info.status == "FAILED"
    assert len(list((project / "scratch" / "resume").rglob("state"))) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_stage_ends_its_run_as_killed(project: Path, number: signal.Signals, code: int) -> None:
    process = start(project, "sleep", "corpus")
    wait_until_begun(project)
    process.send_signal(number)
    assert finish(process)[0] == code
    assert [run.info.status for run in runs(project)] == ["KILLED"]


@pytest.mark.parametrize("collected", [True, False], ids=["gone", "zombie"])
def test_a_stage_ends_when_its_flow_is_gone(project: Path, collected: bool) -> None:
    flow = subprocess.Popen(["sleep", "6000"])
    process = start(project, "sleep", "corpus", KD_FLOW_PID=str(flow.pid), KD_EVENTS=str(project / "events.jsonl"))
    wait_until_begun(project)
    flow.kill()
    if collected:
        flow.wait()
    assert finish(process)[0] == 143
    flow.wait()


def test_the_run_of_a_stage_that_died_without_a_word_is_closed_later(project: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    events = project / "events.jsonl"
    event_log = EventWriter(events)
    event_log.write("start", stage="corpus", experiment="default", params={"corpus": {"seed": 1}}, pid=dead.pid)
    event_log.close()
    Follower(events, project, parent=None).ship()
    assert [run.info.status for run in runs(project)] == ["RUNNING"]
    assert close_dead_runs(open_store(project)) == 1
    assert [run.info.status for run in runs(project)] == ["KILLED"]


def test_four_processes_at_once_make_one_sound_database(project: Path) -> None:
    processes = [start(project, "", "distil", name) for name in ("baseline", "distilled", "sliced", "pruned")]
    assert [finish(process)[0] for process in processes] == [0, 0, 0, 0]
    assert sorted(run.info.status for run in runs(project)) == ["FINISHED"] * 4


def test_half_a_line_waits_for_its_end(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    reader = EventReader(file)
    assert reader.new_events() == []
    file.write_text('{"event": "start"}\n{"event": "e')
    assert [event["event"] for event in reader.new_events()] == ["start"]
    with file.open("a") as more:
        more.write('nd"}\n')
    assert [event["event"] for event in reader.new_events()] == ["end"]


def test_the_key_of_the_resume_folder_changes_with_inputs_params_and_code(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_text("1")
    (tmp_path / "code.py").write_text("x = 1")
    deps = (Path("data"), Path("code.py"))
    key = scratch_key(tmp_path, deps, {"epochs": 1})
    assert scratch_key(tmp_path, deps, {"epochs": 1}) == key
    assert scratch_key(tmp_path, deps, {"epochs": 2}) != key
    (tmp_path / "code.py").write_text("x = 2")
    assert scratch_key(tmp_path, deps, {"epochs": 1}) != key
    (tmp_path / "code.py").write_text("x = 1")
    (tmp_path / "data" / "a").write_text("2")
    assert scratch_key(tmp_path, deps, {"epochs": 1}) != key


def test_another_key_starts_empty_and_removes_the_old_one(tmp_path: Path) -> None:
    (open_scratch(tmp_path, "distil-a", "one") / "state").touch()
    assert (open_scratch(tmp_path, "distil-a", "one") / "state").exists()
    assert not list(open_scratch(tmp_path, "distil-a", "two").iterdir())
    assert not list(open_scratch(tmp_path, "distil-a", "one").iterdir())
