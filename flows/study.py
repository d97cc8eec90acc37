"""`kd study`: a full design of folds and seeds, run cell by cell in processes of their own, resumable at any time."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tasks.experiments.study.design import Cell, cells, load_study
from tasks.experiments.study.results import collect, collect_curves, missing_cells, write_results


def run_study(file: Path, project: Path, *, jobs: int, first_cell: bool) -> int:
    """Run the cells that are not done, `jobs` at a time; returns how many failed. Results are written as each ends.

    first_cell: only the first fold with the first seed. Each process computes with one thread.
    """
    study = load_study(file)
    design = list(cells(study, project))
    missing = {cell.root for cell in missing_cells(study, project)}
    todo = [cell for cell in (design[:1] if first_cell else design) if cell.root in missing]
    print(f"{study.name}: {len(design)} cells, {len(todo)} to do", flush=True)
    failed = 0
    with ThreadPoolExecutor(jobs) as pool:
        running = {pool.submit(_run_cell, file, cell, project): cell for cell in todo}
        try:
            for done in as_completed(running):
                cell, code = running[done], done.result()
                failed += code != 0
                state = "done" if code == 0 else f"failed with exit code {code}: see {_log(cell)}"
                print(f"{study.name}: {cell.fold}, seed {cell.seed}: {state}", flush=True)
                write_results(study, project)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # after Ctrl-C none of the others begins
    return failed


def summary(file: Path, project: Path, *, against: str | None = None) -> str:
    """The study's tables so far, as Markdown: errors, and epochs that handing knowledge over saved.

    against: the model whose errors are subtracted; else each model's baseline.
    """
    from tasks.experiments.study.epochs_saved import epochs_saved, epochs_saved_markdown
    from tasks.experiments.study.summary import error_words, markdown, summarise

    study = load_study(file)
    results = collect(study, project)
    what = error_words([results])
    try:
        tables = [
            markdown(summarise(results, against=against), what, against),
            epochs_saved_markdown(epochs_saved(results, collect_curves(study, project)), what),
        ]
        return "\n\n".join(table for table in tables if table)
    except ValueError as error:
        return str(error)


def detach(file: Path, project: Path, *, jobs: int, first_cell: bool) -> Path:
    """Start the study as a process that outlives this one; returns its log."""
    log = project / "scratch" / "studies" / f"{load_study(file).name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "flows.cli", "study", str(file), "--jobs", str(jobs)]
    command += ["--first-cell"] if first_cell else []
    with log.open("a") as out:
        subprocess.Popen(command, cwd=project, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True)
    return log


def _run_cell(file: Path, cell: Cell, project: Path) -> int:
    log = _log(cell)
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tasks.experiments.study.cell", str(file), cell.fold, str(cell.seed), str(project)]
    with log.open("a") as out:
        return subprocess.run(command, cwd=project, stdout=out, stderr=out, env=environment, check=False).returncode


def _log(cell: Cell) -> Path:
    return cell.root / "log.txt"
