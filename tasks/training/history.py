"""history.csv, the metrics of each epoch of a training, beside the model that came of it."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kd.training.best import best_epoch
from tasks.metric_names import error_name, named_errors
from tasks.runner.atomic_io import whole_file

HISTORY_FILE = "history.csv"
RENAMED = {
    "match_loss": "distill_loss",
    "match_gradient": "distill_gradient",
    "itself_loss": "self_loss",
    "spoken_loss": "nonblank_kl",
    "blank_loss": "blank_kl",
    "agreement": "spike_f1",
    "rate": "lr",
}
"""Columns of histories that were written when a metric had another name."""


def write_history(folder: Path, history: Sequence[Mapping[str, float]], error_kind: str) -> None:
    """One row an epoch; empty where an epoch has no such figure. error_kind: see `tasks.metric_names`."""
    rows = [named_errors(row, error_kind) for row in history]
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / HISTORY_FILE) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)))
        table.writeheader()
        table.writerows({**row, "epoch": int(row["epoch"])} for row in rows)


def read_history(folder: Path) -> list[dict[str, float]]:
    """The rows, each with the figures that its epoch has, by the names that code has for them."""
    with (folder / HISTORY_FILE).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [{column_name(key): float(value) for key, value in row.items() if value} for row in rows]


def column_name(column: str) -> str:
    """What code calls a column of a history, whenever and of whatever problem it was written."""
    return error_name(RENAMED.get(column, column), "error")


def best_metrics(history: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Metrics of the best epoch, which epoch it was (`best_epoch`), and how many there were (`epochs`)."""
    best = best_epoch(history)
    return {**{k: v for k, v in best.items() if k != "epoch"}, "best_epoch": best["epoch"], "epochs": len(history)}
