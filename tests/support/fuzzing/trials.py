"""Programs of the project called in this process, with nothing started beside it."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import typer

import tasks.tracking.pipeline_run  # as all here: loaded once, before any case begins  # noqa: F401
from flows import cli, experiments, server, study, tune
from flows.dvc_state import graph, unsaved_outputs
from fuzzing.outcomes import exit_code
from kd.runtime.program import main
from tasks.experiments.tune.folders import search_folder
from tasks.experiments.tune.settings import check_jobs, load_search
from tasks.experiments.tune.trial_params import check_space

BUILD = typer.main.get_command
NO_CHILD = SimpleNamespace(run=lambda *given, **how: SimpleNamespace(returncode=0))


def kd(arguments: Sequence[str]) -> str:
    """`kd ARGUMENTS…` with nothing started beside this process: flows, servers and children are left out."""
    sys.argv = ["kd", *arguments]
    with (
        patch.object(typer.main, "get_command", built),
        patch.object(cli, "_run_flow"),
        patch.object(
            graph, "look", lambda root: SimpleNamespace(stale={"corpus"}, graph=SimpleNamespace(nodes={"corpus"}))
        ),
        patch.object(unsaved_outputs, "unsaved_outputs", lambda root, names: []),
        patch.object(study, "_run_cell", lambda *given: 0),
        patch.object(study, "write_results"),
        patch.object(tune, "tune_and_tell", searched),
        patch.object(server, "scheduling_server", _no_server),
        patch.object(subprocess, "Popen", _no_process),
        patch.object(
            experiments, "subprocess", SimpleNamespace(run=lambda *given, **how: SimpleNamespace(returncode=0))
        ),
        patch.object(os, "execv", lambda *given: None),
    ):
        return exit_code(cli.main)


@cache
def built(app: typer.Typer) -> Any:
    """The commands of a program: made once, where typer makes them for every call."""
    return BUILD(app)


def searched(file: Path, project: Path, *, trials: int | None, jobs: int) -> str:
    """All that a search does before its first trial."""
    search = load_search(file)
    check_jobs(search, jobs)
    check_space(search)
    search_folder(search, project).mkdir(parents=True, exist_ok=True)
    return f"{search.name}: {trials or search.trials} trials"


def runtime(arguments: Sequence[str], given: bytes = b"") -> str:
    """`python -m kd.runtime ARGUMENTS…` with bytes on standard input; transcripts are data, and may be long."""
    sys.stdin = SimpleNamespace(buffer=io.BytesIO(given))
    sys.stdout = io.TextIOWrapper(io.BytesIO(), "utf-8")
    return exit_code(lambda: main(list(arguments)))


class _no_process(subprocess.Popen[Any]):  # noqa: N801
    def __init__(self, *given: Any, **options: Any) -> None:
        raise OSError("no process is started here")


@contextmanager
def _no_server() -> Iterator[str]:
    raise SystemExit(0)
    yield ""
