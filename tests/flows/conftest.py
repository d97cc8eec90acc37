"""A toy project: the real graph, parameters and harness, with stages that take no time; and one Prefect server."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from project import REPO, Project

from flows.environment import prepare_environment

TOY = Path(__file__).parent / "toy"

prepare_environment()


class Toy(Project):
    """A project whose stages are toys."""

    def order(self, stage: str, *words: str) -> None:
        """Tell a stage (as in distil-baseline) how to behave; no words: as usual."""
        (self.root / "orders").mkdir(exist_ok=True)
        (self.root / "orders" / stage).write_text(" ".join(words))

    def outdate(self, stage: str) -> None:
        """Make one stage (as in distil@baseline) stale; only it and what reads from it run again, and write new things.

        A parameter would do the same to more: eight stages have that of the evaluation.
        """
        file = self.root / "dvc.lock"
        lock = yaml.safe_load(file.read_text())
        del lock["stages"][stage]
        file.write_text(yaml.safe_dump(lock, sort_keys=False))
        shutil.rmtree(self.root / ".dvc" / "cache" / "runs")
        (self.root / "edition").write_text(stage)

    def diary(self) -> list[dict[str, Any]]:
        file = self.root / "diary.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []

    def noted(self, what: str) -> list[str]:
        return [entry["stage"] for entry in self.diary() if entry["what"] == what]

    def forget(self) -> None:
        (self.root / "diary.jsonl").unlink(missing_ok=True)


def make_toy(root: Path) -> Toy:
    """The real project's graph with two students, whose stages are toys."""
    params = yaml.safe_load((REPO / "params.yaml").read_text())
    params["students"] = {name: params["students"][name] for name in ("baseline", "distilled")}
    graph = yaml.safe_load((REPO / "dvc.yaml").read_text())
    del graph["stages"]["digests"]
    for stage in graph["stages"].values():
        body = stage.get("do", stage)
        body["deps"] = [dep for dep in body["deps"] if not dep.startswith("digests")]
    (root / "toy").touch()
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    (root / "dvc.yaml").write_text(yaml.safe_dump(graph, sort_keys=False))
    for folder, files in {
        "models": ("random", "none"),
        "outputs": ("none",),
        "canary": ("none",),
        "corpora": ("README.md",),
        "external": ("README.md",),
    }.items():
        (root / folder).mkdir()
        for file in files:
            (root / folder / file).write_bytes((REPO / folder / file).read_bytes())
    project = Toy(root)
    project.dvc("init", "--no-scm", "-q")
    return project


@pytest.fixture(scope="session")
def stage_environment() -> Iterator[None]:
    """Stages started from here know no run, and are toys in the folders of toy projects."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(TOY), str(REPO)]))
        patch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
        patch.setenv("OMP_NUM_THREADS", "1")
        for variable in ("DVC_ROOT", "DVC_STAGE", "KD_EVENTS", "KD_FLOW_PID", "PIPELINE_RUN_ID", "MLFLOW_TRACKING_URI"):
            patch.delenv(variable, raising=False)
        yield


@pytest.fixture
def toy(tmp_path: Path, stage_environment: None) -> Toy:
    """A toy project in which nothing has run yet."""
    return make_toy(tmp_path)


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[str]:
    """One temporary Prefect server for all tests; gives its address, for other processes."""
    from prefect.settings import PREFECT_API_URL
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=600):
        yield str(PREFECT_API_URL.value())


@pytest.fixture(scope="session")
def first_run(
    tmp_path_factory: pytest.TempPathFactory, stage_environment: None, prefect_server: str
) -> tuple[Toy, dict[str, str]]:
    """A toy project after its first run, and that run's verdicts. Not to be changed: `finished` is a copy."""
    from flows.pipeline import pipeline

    project = make_toy(tmp_path_factory.mktemp("first"))
    side_by_side = ("teacher", "propagate-baseline")  # both need no more than what preprocess makes
    for stage, other in (side_by_side, side_by_side[::-1]):
        project.order(stage, "meet", other)
    verdicts = pipeline(root=str(project.root))
    for stage in side_by_side:
        project.order(stage)
    return project, verdicts


@pytest.fixture
def finished(first_run: tuple[Toy, dict[str, str]], tmp_path: Path) -> Toy:
    """A project of one's own in which everything is up to date."""
    shutil.copytree(first_run[0].root, tmp_path, dirs_exist_ok=True, symlinks=True)
    project = Toy(tmp_path)
    project.forget()
    return project
