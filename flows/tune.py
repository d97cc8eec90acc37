"""`kd tune`: tries a student's knobs on the validation part, resumable at any time."""

import subprocess
import sys
from pathlib import Path

from tasks.experiments.tune.folders import search_folder
from tasks.experiments.tune.results import told
from tasks.experiments.tune.settings import check_jobs, load_search
from tasks.experiments.tune.trial_params import check_space


def tune_and_tell(file: Path, project: Path, *, trials: int | None, jobs: int) -> str:
    """Run what is missing; gives the front as Markdown and the winner's recipe."""
    from tasks.experiments.tune.loop import run_search

    search, table = run_search(file, project, trials=trials, jobs=jobs)
    return told(search, table, project, trials or search.trials)


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
