"""`kd tune`: tries a student's knobs on the validation part, resumable at any time."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd

from tasks.experiments.tune.candidate import check_space, recipe_yaml
from tasks.experiments.tune.folders import POINT, search_folder
from tasks.experiments.tune.results import front_markdown, results_file, shortfall, winner
from tasks.experiments.tune.settings import Search, check_jobs, load_search


def tune_and_tell(file: Path, project: Path, *, trials: int | None, jobs: int) -> str:
    """Run what is missing; gives the front as Markdown and the winner's recipe."""
    from tasks.experiments.tune.loop import run_search

    search, table = run_search(file, project, trials=trials, jobs=jobs)
    return told(search, table, project, trials or search.trials)


def told(search: Search, table: pd.DataFrame, project: Path, wanted: int) -> str:
    """What people are told in the end; wanted: so many finished trials were asked for."""
    best, folder = winner(search, table), search_folder(search, project)
    parts = [front_markdown(search, table)]
    if best is None:
        parts.append(f"No student met the goal: {search.goal}." if search.goal else "No trial was finished.")
    else:
        point = json.loads((folder / "trials" / best["folder"] / POINT).read_text(encoding="utf-8"))
        parts.append(f"Trial {best['trial']} wins. For params.yaml:\n\n{recipe_yaml(search, point)}")
    parts.append(f"Table: {results_file(search, project)}. Front: {folder / 'front.svg'}")
    return "\n\n".join([*parts, *filter(None, [shortfall(table, wanted)])])


def detach(file: Path, project: Path, *, trials: int | None, jobs: int) -> Path:
    """Start the search as a process that outlives this one; returns its log."""
    search = load_search(file)
    check_jobs(search, jobs)
    check_space(search)
    log = search_folder(search, project) / "log.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "flows.cli", "tune", str(file), "--jobs", str(jobs)]
    command += ["--trials", str(trials)] if trials else []
    with log.open("a") as out:
        subprocess.Popen(command, cwd=project, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True)
    return log
