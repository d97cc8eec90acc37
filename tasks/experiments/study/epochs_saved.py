"""Transferred weights save training: epochs until a student reaches the least error rate of a new model of its size."""

import pandas as pd

from tasks.experiments.study.summary import twin


def epochs_saved(results: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """One row for each model that has a twin: a baseline of its size, from random weights and labels alone.

    Columns: model, twin, twin_error (its least validation error), twin_epochs (until then), epochs (until the model's
    is as low), reached (share of the cells in which that happens; the means of epochs are over these).
    """
    found = [row for _, cell in results.groupby(["fold", "seed"], sort=False) for row in _of_cell(cell, curves)]
    if not found:
        return pd.DataFrame()
    table = pd.DataFrame(found).groupby(["model", "twin"], sort=False)
    return table.agg(
        twin_error=("twin_error", "mean"),
        twin_epochs=("twin_epochs", "mean"),
        epochs=("epochs", "mean"),
        reached=("epochs", lambda epochs: float(epochs.notna().mean())),
    ).reset_index()


def epochs_saved_markdown(table: pd.DataFrame, what: str) -> str:
    """The table that `kd study --table` prints; empty where no model has a twin. what: see `summary`."""
    if table.empty:
        return ""
    lines = [
        f"| model | its twin from scratch | the twin's least validation {what} | in epoch | reached by the model in epoch | in cells |",  # noqa: E501
        "|---|---|--:|--:|--:|--:|",
    ]
    for row in table.to_dict("records"):
        epochs = f"{row['epochs']:.1f}" if row["reached"] else "never"
        cells = [row["model"], row["twin"], f"{row['twin_error']:.1%}", f"{row['twin_epochs']:.1f}", epochs]
        lines.append(f"| {' | '.join(cells)} | {row['reached']:.0%} |")
    return "\n".join(lines)


def _of_cell(cell: pd.DataFrame, curves: pd.DataFrame) -> list[dict[str, object]]:
    """Epochs count from 1."""
    rows = {str(row["model"]): row for row in cell.to_dict("records")}
    found: list[dict[str, object]] = []
    for model, row in rows.items():
        other = twin(model, cell)
        if row["role"] != "student" or other is None:
            continue
        own, others = (_curve(curves, str(row["cell"]), name) for name in (model, other))
        if own.empty or others.empty:
            continue
        least = float(others.min())
        found.append(
            {
                "model": model,
                "twin": other,
                "twin_error": least,
                "twin_epochs": int(others.to_numpy().argmin()) + 1,
                "epochs": int((own <= least).to_numpy().argmax()) + 1 if own.min() <= least else float("nan"),
            }
        )
    return found


def _curve(curves: pd.DataFrame, cell: str, model: str) -> "pd.Series[float]":
    """Validation error by epoch of one model of one cell; infinite while it had not shrunk to its final size."""
    own = curves[(curves["cell"] == cell) & (curves["model"] == model)].sort_values("epoch")
    if "phase" not in own or own["phase"].isna().all():
        return own["valid_error"]
    return own["valid_error"].where(own["phase"] == own["phase"].max(), float("inf"))
