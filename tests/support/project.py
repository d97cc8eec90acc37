"""A project in a folder of its own: its files, its commands, its processes, its MLflow runs."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from tasks.tracking.runs import open_store

REPO = Path(__file__).parents[2]
KD = [sys.executable, "-c", "from flows.cli import main; main()"]
PATIENCE_S = 600.0
"""How long a test waits for a process: for ever, but for one that hangs. A slow machine is no failure."""
TIMED = {"profile", "report"}
"""Stages whose outputs hold times, and so differ from run to run."""

OWN_FILES = (
    ".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore", "dvc.yaml", "models/random", "models/none",
    "outputs/none", "canary/none",
)  # fmt: skip
OWN_FOLDERS = ("corpora", "kd", "external", "tasks", "flows")

SMALL = {"family": "cnn", "stem": 4, "width": 6, "layers": 1, "hidden": 8, "kernel": 3}
TRAINING = {"epochs": 8, "batch_seconds": 20, "device": "cpu"}


@dataclass
class Project:
    """A folder with params.yaml and dvc.yaml."""

    root: Path

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
        return self.call(sys.executable, "-m", "dvc", *arguments)

    def git(self, *arguments: str) -> str:
        return self.call("git", "-c", "user.name=t", "-c", "user.email=t@localhost", *arguments)

    def kd(self, *arguments: str) -> str:
        return self.call(*KD, *arguments)

    def call(self, *command: str) -> str:
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
        if done.returncode:
            raise RuntimeError(f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def start_run(self, server: str | None, *options: str) -> "subprocess.Popen[str]":
        """`kd run` with a Prefect server given by its address, or with one of its own."""
        environment = {key: value for key, value in os.environ.items() if key != "PREFECT_API_URL"}
        environment |= {} if server is None else {"PREFECT_API_URL": server}
        return subprocess.Popen(
            [*KD, "run", *options], cwd=self.root, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def lock(self) -> dict[str, Any]:
        return dict(yaml.safe_load((self.root / "dvc.lock").read_text())["stages"])

    def untimed_lock(self) -> dict[str, Any]:
        """The part of dvc.lock that every run writes alike."""
        return {stage: entry for stage, entry in self.lock().items() if stage not in TIMED}

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


def make_tiny_project(root: Path) -> Project:
    """This project's own files in a git repository, with parameters so small that each stage takes a second."""
    for folder in OWN_FOLDERS:
        shutil.copytree(REPO / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in OWN_FILES:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPO / file, root / file)
    (root / "params.yaml").write_text(yaml.safe_dump(tiny_params(), sort_keys=False))
    project = Project(root)
    project.git("init", "-q")
    project.git("add", ".")
    project.git("commit", "-qm", "start")
    return project


def tiny_params() -> dict[str, Any]:
    """A dozen utterances, a teacher, a baseline, and a slice of the teacher that it then teaches."""
    params: dict[str, Any] = yaml.safe_load((REPO / "params.yaml").read_text())
    params["corpus"] |= {
        "phrases": [{"kind": "digits", "length": [2, 3]}],
        "utterances": {"train": 12, "valid": 4, "test": 4},
        "speakers": {"train": 3, "valid": 2, "test": 2},
        "words_per_minute": [200, 210],
    }
    params["preprocess"]["workers"] = 1
    params["teacher"] |= {"model": SMALL | {"layers": 2, "width": 8}, "training": TRAINING}
    params["student_training"] = TRAINING
    objective = {"label_weight": 1.0, "beta": 1.0, "distill": {"name": "soft_targets"}}
    cut = {"op": "slice", "keep": {"layers": 1, "width": 6}}
    params["students"] = {
        "baseline": {"init": "random", "model": SMALL, "teacher": "none"},
        "sliced": {"init": "teacher", "operators": [cut], "teacher": "teacher", "objective": objective},
    }
    params["evaluation"] = {"timing_utterances": 5, "timing_repeats": 1}
    return params


def kill_family(process: "subprocess.Popen[str]") -> str:
    """`kill -9` to a process and all its descendants at once, as when the machine loses its power; what it said."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for act in (psutil.Process.suspend, psutil.Process.kill):  # stopped first, so that none sees another one's end
        for member in family:
            with suppress(psutil.NoSuchProcess):
                act(member)
    return process.communicate(timeout=PATIENCE_S)[0]


def wait_for(
    condition: Callable[[], object],
    process: "subprocess.Popen[str] | None" = None,
    timeout_s: float = PATIENCE_S,
    every_s: float = 0.1,
) -> None:
    """Look again and again until the condition holds.

    Raises AssertionError, with what the process said, if it ends before; it is killed where that takes too long.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if process is not None and process.poll() is not None:
            raise AssertionError(f"ended too early:\n{process.communicate()[0]}")
        if time.monotonic() > deadline:
            raise AssertionError(f"waited too long\n{kill_family(process) if process is not None else ''}")
        time.sleep(every_s)
