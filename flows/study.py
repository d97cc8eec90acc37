"""`kd study`: a full design of folds and seeds, run cell by cell in processes of their own, resumable at any time."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tasks.study import Cell, cells, collect, collect_curves, load_study


def run_study(file: Path, project: Path, *, jobs: int, screen: bool) -> int:
    """Run the cells that are not done, `jobs` at a time; returns how many failed. Results after each cell.

    screen: only the first fold with the first seed. Each process computes with one thread.
    """
    study = load_study(file)
    design = list(cells(study, project))
    todo = [cell for cell in (design[:1] if screen else design) if not cell.done]
    print(f"{study.name}: {len(design)} cells, {len(todo)} to do", flush=True)
    failed = 0
    with ThreadPoolExecutor(jobs) as pool:
        for cell, code in zip(todo, pool.map(lambda c: _run_cell(file, c, project), todo), strict=True):
            failed += code != 0
            state = "done" if code == 0 else f"failed with exit code {code}: see {_log(cell)}"
            print(f"{study.name}: {cell.fold}, seed {cell.seed}: {state}", flush=True)
            write_results(file, project)
    return failed


def write_results(file: Path, project: Path) -> Path:
    """docs/results/STUDY.csv: one row for each model of each cell that is done so far; its curves beside it."""
    study = load_study(file)
    out = project / "docs" / "results" / f"{study.name}.csv"
    out.parent.mkdir(parents=True, exist_ok=True)
    collect(study, project).to_csv(out, index=False)
    collect_curves(study, project).to_csv(out.with_name(f"{study.name}-curves.csv"), index=False)
    return out


def summary(file: Path, project: Path) -> str:
    """The study's table so far, as Markdown."""
    from tasks.study_summary import markdown, summarise

    try:
        return markdown(summarise(collect(load_study(file), project)))
    except ValueError as error:
        return str(error)


def detach(file: Path, project: Path, *, jobs: int, screen: bool) -> Path:
    """Start the study as a process that outlives this one; returns its log."""
    log = project / "scratch" / "studies" / f"{load_study(file).name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "flows.cli", "study", str(file), "--jobs", str(jobs)]
    command += ["--screen"] if screen else []
    with log.open("a") as out:
        subprocess.Popen(command, cwd=project, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True)
    return log


def _run_cell(file: Path, cell: Cell, project: Path) -> int:
    log = _log(cell)
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tasks.study", str(file), cell.fold, str(cell.seed), str(project)]
    with log.open("a") as out:
        return subprocess.run(command, cwd=project, stdout=out, stderr=out, env=environment, check=False).returncode


def _log(cell: Cell) -> Path:
    return cell.root / "log.txt"
