"""A toy project: the real graph, parameters and harness, with stages that take no time; and one Prefect server."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from flows.environment import prepare_environment
from tasks.tracking import open_store

REPO = Path(__file__).parents[2]
TOY = Path(__file__).parent / "toy"

prepare_environment()


@dataclass
class Toy:
    """A project in a folder of its own."""

    root: Path

    def order(self, stage: str, *words: str) -> None:
        """Tell a stage (as in distil-baseline) how to behave; no words: as usual."""
        (self.root / "orders").mkdir(exist_ok=True)
        (self.root / "orders" / stage).write_text(" ".join(words))

    def diary(self) -> list[dict[str, Any]]:
        file = self.root / "diary.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []

    def noted(self, what: str) -> list[str]:
        return [entry["stage"] for entry in self.diary() if entry["what"] == what]

    def forget(self) -> None:
        (self.root / "diary.jsonl").unlink(missing_ok=True)

    def set(self, key: str, value: Any) -> None:
        """Set a dotted key of params.yaml."""
        params = yaml.safe_load((self.root / "params.yaml").read_text())
        *path, last = key.split(".")
        place = params
        for part in path:
            place = place[part]
        place[last] = value
        (self.root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))

    def dvc(self, *arguments: str) -> str:
        """Output of a DVC command; raises if it fails."""
        return self.call("-m", "dvc", *arguments)

    def call(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=self.root, capture_output=True, text=True, check=False, timeout=120
        )
        if done.returncode:
            raise RuntimeError(f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def lock(self) -> dict[str, Any]:
        return dict(yaml.safe_load((self.root / "dvc.lock").read_text())["stages"])

    def processes(self) -> list[str]:
        """Command lines of the processes that work in the project's folder."""
        found = []
        for process in psutil.process_iter(["cwd", "cmdline"]):
            if str(process.info["cwd"]).startswith(str(self.root)):
                found.append(" ".join(process.info["cmdline"] or []))
        return found

    def statuses(self, stage: str | None = None) -> list[str]:
        """States of all MLflow runs, or of those of one stage (as in distil/baseline), oldest first."""
        return [run.info.status for run in self.runs() if stage in (None, run.data.tags.get("kd.stage"))]

    def runs(self) -> list[Any]:
        """All MLflow runs."""
        client = open_store(self.root)
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        return list(client.search_runs(experiments, order_by=["attributes.start_time"]))


def make_toy(root: Path) -> Toy:
    """The real project's graph with two students, whose stages are toys."""
    params = yaml.safe_load((REPO / "params.yaml").read_text())
    params["students"] = {name: params["students"][name] for name in ("baseline", "distilled")}
    graph = yaml.safe_load((REPO / "dvc.yaml").read_text())
    for stage in graph["stages"].values():
        body = stage.get("do", stage)
        body["deps"] = [dep for dep in body["deps"] if not dep.startswith(("kd", "tasks"))]
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    (root / "dvc.yaml").write_text(yaml.safe_dump(graph, sort_keys=False))
    for folder, files in {"models": ("random", "none"), "corpora": ("README.md",)}.items():
        (root / folder).mkdir()
        for file in files:
            (root / folder / file).write_bytes((REPO / folder / file).read_bytes())
    project = Toy(root)
    project.dvc("init", "--no-scm", "-q")
    return project


@pytest.fixture(scope="session")
def toy_environment() -> Iterator[None]:
    """Stages started from here are toys."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(TOY))
        patch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
        patch.setenv("OMP_NUM_THREADS", "1")
        for variable in ("DVC_ROOT", "DVC_STAGE", "KD_EVENTS", "KD_FLOW_PID", "PIPELINE_RUN_ID", "MLFLOW_TRACKING_URI"):
            patch.delenv(variable, raising=False)
        yield


@pytest.fixture
def toy(tmp_path: Path, toy_environment: None) -> Toy:
    """A toy project in which nothing has run yet."""
    return make_toy(tmp_path)


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[str]:
    """One temporary Prefect server for all tests; gives its address, for other processes."""
    from prefect.settings import PREFECT_API_URL
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield str(PREFECT_API_URL.value())


@pytest.fixture(scope="session")
def first_run(
    tmp_path_factory: pytest.TempPathFactory, toy_environment: None, prefect_server: str
) -> tuple[Toy, dict[str, str]]:
    """A toy project after its first run, and that run's verdicts. Not to be changed: `finished` is a copy."""
    from flows.pipeline import pipeline

    project = make_toy(tmp_path_factory.mktemp("first"))
    project.order("teacher", "sleep", "3")
    verdicts = pipeline(root=str(project.root))
    project.order("teacher")
    return project, verdicts


@pytest.fixture
def finished(first_run: tuple[Toy, dict[str, str]], tmp_path: Path) -> Toy:
    """A project of one's own in which everything is up to date."""
    shutil.copytree(first_run[0].root, tmp_path, dirs_exist_ok=True, symlinks=True)
    project = Toy(tmp_path)
    project.forget()
    return project
