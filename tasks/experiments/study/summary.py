"""What a study says: error rates pooled over folds with intervals over held-out speakers, and differences.

Speakers are the resampling unit: a speaker's errors are first averaged over seeds. Differences are paired,
since all models of a cell score the same utterances.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from kd.stats import Interval, error_interval, paired_interval
from tasks.metric_names import ERROR_WORDS

CLOSE = 0.1
"""Sizes within this share of each other count as one."""


@dataclass(frozen=True)
class ModelSummary:
    """One model over all folds.

    Sizes are medians over cells, since pruning leaves other sizes in each. seed_spread: standard deviation between
    the seeds of a fold, mean over the folds that have several. against: differences of error, this model minus another;
    None against itself. Its baseline is its twin, or where none is of its size the model of that name, unless
    `summarise` was given another.
    """

    model: str
    params: int
    nonzero_params: int
    cells: int
    valid_error: float
    seed_spread: float
    test_error: float
    error: Interval | None
    against_baseline: Interval | None
    against_teacher: Interval | None


def summarise(results: pd.DataFrame, confidence: float = 0.95, *, against: str | None = None) -> list[ModelSummary]:
    """One summary a model, in the study's order, over the cells that all models have.

    against: the model that all are compared with, instead of the baseline of their size. ValueError if there is none.
    """
    complete = complete_cells(results)
    if complete.empty:
        raise ValueError("no cell of this study has all its models yet: run `kd study` until one is done")
    known = [str(model) for model in complete["model"].unique()]
    if against is not None and against not in known:
        raise ValueError(f"no model {against!r} in this study: it has {', '.join(known)}")
    counted = _with_counts(complete)
    speakers = pd.DataFrame(_speakers(counted)).groupby(["model", "speaker"], sort=False).mean().reset_index()
    by_model = {str(model): table.set_index("speaker") for model, table in speakers.groupby("model", sort=False)}
    return [
        _summary(model, complete, by_model, against or twin(model, complete) or "baseline", confidence)
        for model in known
    ]


def twin(model: str, results: pd.DataFrame) -> str | None:
    """The baseline (random weights, labels alone) nearest to the model's size, if it is close enough to compare."""
    params = results.groupby("model")["params"].median()
    baselines = results.loc[results["role"] == "baseline", "model"].unique()
    apart = (params[baselines] / params[model] - 1).abs()
    return None if apart.empty or apart.min() > CLOSE else str(apart.idxmin())


def markdown(summaries: list[ModelSummary], what: str, against: str | None = None) -> str:
    """The table that `kd study --table` prints; what: the name of its errors."""
    others = {against or "baseline": "against_baseline", "teacher": "against_teacher"}  # one column where both are it
    head = ["model", "parameters", "non-zero", "cells", f"validation {what}", f"test {what} (95 %)"]
    head += [*(f"minus {other}" for other in others), "between seeds"]
    lines = [f"| {' | '.join(head)} |", f"|---|{'--:|' * (len(head) - 1)}"]
    for s in summaries:
        cells = [s.model, f"{s.params:,}", f"{s.nonzero_params:,}", str(s.cells), f"{s.valid_error:.1%}"]
        cells += [format_interval(s.error) if s.error else f"{s.test_error:.1%}"]
        cells += [format_interval(getattr(s, difference), signed=True) for difference in others.values()]
        lines.append(f"| {' | '.join([*cells, f'± {s.seed_spread:.1%}' if s.seed_spread else '—'])} |")
    return "\n".join(lines)


def error_words(tables: Iterable[pd.DataFrame]) -> str:
    """What the errors of these results are called in print; "error" where not all are of one kind, or none says."""
    kinds = {kind for table in tables if "error_kind" in table for kind in table["error_kind"]}
    return ERROR_WORDS[kinds.pop()] if len(kinds) == 1 else "error"


def complete_cells(results: pd.DataFrame) -> pd.DataFrame:
    """Rows of the cells that have every model."""
    if results.empty:
        return results
    counts = results.groupby(["fold", "seed"])["model"].transform("nunique")
    return results[counts == results["model"].nunique()]


def _with_counts(results: pd.DataFrame) -> pd.DataFrame:
    """The models whose rows all say how many errors each speaker has; all, folds as speakers, where none has it."""
    if "by_speaker" not in results:
        return results
    known = results["by_speaker"].notna().groupby(results["model"]).transform("all")
    return results[known] if known.any() else results.drop(columns="by_speaker")


def _speakers(results: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """A row for each speaker of each cell; a fold is one speaker where the results do not say who spoke."""
    for row in results.to_dict("records"):
        known = row.get("by_speaker")
        counts = json.loads(known) if isinstance(known, str) else {row["fold"]: (row["errors"], row["units"])}
        for speaker, (errors, units) in counts.items():
            yield {"model": row["model"], "speaker": str(speaker), "errors": errors, "units": units}


def _summary(
    model: str, results: pd.DataFrame, by_model: dict[str, pd.DataFrame], baseline: str, confidence: float
) -> ModelSummary:
    rows, table = results[results["model"] == model], by_model.get(model, pd.DataFrame({"units": [], "errors": []}))
    speakers, units, errors = table.index.tolist(), table["units"].tolist(), table["errors"].tolist()

    def minus(other: str) -> Interval | None:
        if not speakers or other == model or other not in by_model:
            return None
        others = by_model[other]["errors"].reindex(table.index).tolist()
        return paired_interval(errors, others, units, speakers, confidence=confidence)

    deviations = (rows["errors"] / rows["units"]).groupby(rows["fold"]).std(ddof=1).dropna()
    return ModelSummary(
        model=model,
        params=int(rows["params"].median()),
        nonzero_params=int(rows["nonzero_params"].median()),
        cells=len(rows),
        valid_error=float(rows["valid_error"].mean()),
        seed_spread=float(deviations.mean()) if len(deviations) else 0.0,
        test_error=float((rows["errors"] / rows["units"]).mean()),
        error=error_interval(errors, units, speakers, confidence=confidence) if speakers else None,
        against_baseline=minus(baseline),
        against_teacher=minus("teacher"),
    )


def format_interval(interval: Interval | None, *, signed: bool = False) -> str:
    """In per cent, as tables have it; a dash where there is none."""
    if interval is None:
        return "—"
    sign = "+" if signed else ""
    return f"{interval.estimate:{sign}.1%} ({interval.low:{sign}.1%} to {interval.high:{sign}.1%})"
