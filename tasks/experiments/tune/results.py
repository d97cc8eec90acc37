"""What a search found: a table of its trials, the Pareto front, the winner."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from tasks.experiments.tune.folders import POINT, search_folder
from tasks.experiments.tune.settings import Search
from tasks.experiments.tune.trial_params import recipe_yaml
from tasks.metric_names import ERROR_WORDS, plain_errors

ERROR = "valid_error"
STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "refused", TrialState.FAIL: "failed"}


def results_file(search: Search, project: Path) -> Path:
    """The committed table of a search."""
    return project / "docs" / "results" / f"search-{search.name}.csv"


def collect(search: Search, study: Study) -> pd.DataFrame:
    """One row for each trial that is over: its knobs, figures, whether it meets the goal and lies on the front."""
    rows = list(_rows(search, study))
    columns = ["trial", "state", "reason", *search.space, search.measure, ERROR, "teacher_valid_error"]
    table = pd.DataFrame(rows).reindex(columns=list(dict.fromkeys([*columns, *(k for row in rows for k in row)])))
    done = table["state"] == "complete"
    table["on_front"] = on_front(table[done], search.measure).reindex(table.index, fill_value=False)
    table["limit"] = [_limit(search, value) for value in table["teacher_valid_error"]]
    table["meets_goal"] = done & ~(table[ERROR] > table["limit"])
    return table


def on_front(table: pd.DataFrame, measure: str) -> "pd.Series[bool]":
    """Rows that no other one beats in error and in the measure at once; of equal rows, the first."""
    best, found = float("inf"), {}
    for index, row in table.sort_values([measure, ERROR], kind="stable").iterrows():
        found[index] = row[ERROR] < best
        best = min(best, row[ERROR])
    return pd.Series(found, dtype=bool)


def winner(search: Search, table: pd.DataFrame) -> dict[str, Any] | None:
    """With a goal the smallest that meets it, else the one of the lowest error rate; None where there is none."""
    good = table[table["meets_goal"]]
    order = [ERROR, search.measure] if search.goal is None or search.minimises_error else [search.measure, ERROR]
    return None if good.empty else {str(k): v for k, v in good.sort_values(order, kind="stable").iloc[0].items()}


def front_markdown(search: Search, table: pd.DataFrame) -> str:
    """The front from small to large, and in a sentence what else there was."""
    front = table[table["on_front"]].sort_values(search.measure)
    what = f"validation {ERROR_WORDS[search.error_kind]}"
    lines = [f"| trial | {search.measure} | {what} | goal |", "|---|---|---|---|"]
    for row in front.to_dict("records"):
        met = "—" if search.goal is None else "met" if row["meets_goal"] else "missed"
        lines.append(f"| {row['trial']} | {row[search.measure]:,.6g} | {row[ERROR]:.2%} | {met} |")
    counts = ", ".join(f"{count} {state}" for state, count in table["state"].value_counts().items())
    teacher = table["teacher_valid_error"].dropna()
    said = f" The teacher's {what}: {teacher.iloc[0]:.2%}." if len(teacher) else ""
    return "\n".join([*lines, "", f"Trials: {counts or 'none'}.{said}"])


def shortfall(table: pd.DataFrame, wanted: int) -> str:
    """In a line, that a search gave up before it had the trials wanted, and what to do; empty where it has them."""
    counts = table["state"].value_counts()
    if (done := int(counts.get("complete", 0))) >= wanted:
        return ""
    others = ", ".join(f"{count} {state}" for state, count in counts.items() if state != "complete")
    return (
        f"{done} of {wanted} trials were finished, then the search gave up: {others} (`reason` in the table). "
        "Narrow the space to what can be made, raise at_most, or go on with more --trials."
    )


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


def _rows(search: Search, study: Study) -> Iterator[dict[str, Any]]:
    for trial in study.get_trials(deepcopy=False):
        if trial.state in STATES:
            yield {"trial": trial.number, "state": STATES[trial.state], **trial.params, **_figures(trial)}


def _figures(trial: FrozenTrial) -> dict[str, Any]:
    attributes = trial.user_attrs
    return {
        "reason": attributes.get("reason"),
        **plain_errors(attributes.get("figures", {})),
        "folder": attributes.get("folder"),
    }


def _limit(search: Search, teacher_error: float) -> float:
    return math.nan if search.goal is None else search.goal.limit(teacher_error)
