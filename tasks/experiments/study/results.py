"""What a study has so far: rows and curves of the cells in this folder, and of those that its committed tables hold.

A cell is known by the name of its folder, which holds a hash of its parameters: a changed design takes over
nothing, and a fresh clone goes on from the committed tables instead of beginning anew.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from tasks.experiments.study.design import Cell, Study, cells, models_in_order
from tasks.metric_names import ERROR_KINDS, error_name, plain_errors
from tasks.runner.atomic_io import write_whole
from tasks.runner.kept_files import read_whole_csv, read_whole_json
from tasks.runner.paths import Paths
from tasks.training.history import column_name

CURVES = ["epoch", "train_loss", "valid_error", "phase"]
"""`phase` counts the shapes that a student shrank through, from 0; empty where it never shrinks."""


def results_file(study: Study, project: Path) -> Path:
    """The committed table of a study."""
    return project / "docs" / "results" / f"{study.name}.csv"


def curves_file(study: Study, project: Path) -> Path:
    """The committed table of its trainings' validation errors, epoch by epoch."""
    return results_file(study, project).with_name(f"{study.name}-curves.csv")


def missing_cells(study: Study, project: Path) -> list[Cell]:
    """Cells of which neither this folder nor the committed table has every model."""
    table = collect(study, project)
    found = set() if table.empty else set(zip(table["cell"], table["model"], strict=True))
    return [
        cell
        for cell in cells(study, project)
        if any((cell.root.name, model) not in found for model in models_in_order(cell.params))
    ]


def collect(study: Study, project: Path) -> pd.DataFrame:
    """One row for each model of each cell, done or not, in the design's order."""
    return _in_order(study, project, results_file(study, project), list(_rows(study, project)))


def collect_curves(study: Study, project: Path) -> pd.DataFrame:
    """Training loss and validation error of every epoch of every model that has a row."""
    tables = (
        pd.read_csv(Paths(cell.root).model(model) / "history.csv")
        .rename(columns=column_name)
        .reindex(columns=CURVES)
        .round(5)
        .assign(fold=cell.fold, seed=cell.seed, model=model, cell=cell.root.name)
        for cell, model in _scored(study, project)
    )
    rows = [row for table in tables for row in table.to_dict("records")]
    return _in_order(study, project, curves_file(study, project), rows)


def write_results(study: Study, project: Path) -> Path:
    """docs/results/STUDY.csv and its curves beside it, whose columns say what errors are; returns the first."""
    out = results_file(study, project)
    out.parent.mkdir(parents=True, exist_ok=True)
    kind = ERROR_KINDS[study.params["problem"]["kind"]]
    rows, curves = collect(study, project), collect_curves(study, project)
    for table, file in ((rows, out), (curves, curves_file(study, project))):
        write_whole(file, table.rename(columns=lambda column: error_name(column, kind)).to_csv(index=False))
    return out


def _scored(study: Study, project: Path) -> Iterator[tuple[Cell, str]]:
    for cell in cells(study, project):
        for model in models_in_order(cell.params):
            if read_whole_json(cell.rows / f"{model}.json") is not None:
                yield cell, model


def _rows(study: Study, project: Path) -> Iterator[dict[str, Any]]:
    for cell, model in _scored(study, project):
        row = json.loads((cell.rows / f"{model}.json").read_text(encoding="utf-8"))
        yield {**plain_errors(row), "cell": cell.root.name}


def _in_order(study: Study, project: Path, file: Path, rows: list[Any]) -> pd.DataFrame:
    """Rows of this folder, and for models that have none those of the committed file, in the design's order."""
    order = {cell.root.name: i for i, cell in enumerate(cells(study, project))}
    tables = [pd.DataFrame(rows)] if rows else []
    committed = read_whole_csv(file, ("cell", "model"))
    if committed is not None and "cell" in committed:
        committed = committed.rename(columns=lambda column: error_name(column, "error"))
        known = {f"{row['cell']} {row['model']}" for row in rows}
        new = ~(committed["cell"] + " " + committed["model"]).isin(known)
        tables.append(committed[committed["cell"].isin(order) & new])
    if all(table.empty for table in tables):
        return pd.DataFrame()
    whole = pd.concat([table for table in tables if not table.empty], ignore_index=True)
    return whole.sort_values("cell", key=lambda names: names.map(order), kind="stable")
