"""Tables of figures for the pages under docs/results/, each from the CSVs that a marker on the page names.

A column is what stands in it, and after ` = ` its heading: `minus scratch = minus new`. A row is a model's name in
the CSV and what the page calls it; where a list, the further texts fill the columns `text`, for figures of no CSV.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import pandas as pd
from pydantic import Field

from kd.config.base import Strict
from tasks.experiments.study.summary import ModelSummary, complete_cells, error_words, format_interval, summarise

HEADINGS = {
    "label": "model", "params": "parameters", "sizes": "parameters", "nonzero": "non-zero",
    "valid": "validation {what}", "test": "test {what}", "error": "test {what} (95 %)", "minus": "minus baseline",
    "between": "between seeds", "epoch": "best epoch", "macs": "M MACs / s", "mb": "MB",
    "seconds": "seconds an epoch", "ratio": "over labels alone (quartiles)",
}  # fmt: skip
"""Of columns that are headed otherwise than they are named; `{what}` is what errors are counted in."""

LEFT = ("label", "text")
WARM_UP = 0
"""The round of a benchmark that is not counted."""

Columns = Mapping[str, Callable[[str], str]]
"""What can stand in a column of a row: its name, and how the cell comes from the row's model."""


class TableSpec(Strict):
    """What a marker asks for."""

    columns: tuple[str, ...] = Field(min_length=1)
    rows: dict[str, str | tuple[str, ...]] = Field(min_length=1)


class PlainSpec(Strict):
    """What a marker asks for where the CSV holds finished cells: what a benchmark printed, or figures kept by hand."""

    plain: Literal[True]
    left: tuple[str, ...] = Field((), description="columns of words, beside the first")


def plain_table(spec: PlainSpec, rows: Sequence[Sequence[str]]) -> str:
    """The Markdown table of a CSV's rows, the first of which are its headings; cells stay as they are.

    Raises ValueError for rows of unequal length, and for a column that is none.
    """
    heads, *body = rows or [[]]
    if not heads or any(len(row) != len(heads) for row in body):
        raise ValueError(f"rows of {', '.join(map(str, sorted({len(row) for row in rows}))) or 'no'} cells")
    if unknown := [name for name in spec.left if name not in heads]:
        raise ValueError(f"no column {unknown[0]!r}; there are {', '.join(heads)}")
    rules = ["---" if i == 0 or name in spec.left else "--:" for i, name in enumerate(heads)]
    return "\n".join([_line(heads), f"|{'|'.join(rules)}|", *map(_line, body)])


def _line(cells: Sequence[str]) -> str:
    """A row of Markdown; an empty cell is one space wide."""
    return f"|{''.join(f' {cell} |' if cell else ' |' for cell in cells)}"


def table(spec: TableSpec, files: Mapping[str, pd.DataFrame]) -> str:
    """The Markdown table; files: by the stems of their names. Where there are several, rows are `STEM:MODEL`.

    Raises ValueError naming a row or column that is none.
    """
    asked = [column.partition(" = ") for column in spec.columns]
    kind = error_words(files.values())
    heads = [heading or HEADINGS.get(what, what).format(what=kind) for what, _, heading in asked]
    rules = ["---" if what in LEFT else "--:" for what, _, _ in asked]
    lines = [f"| {' | '.join(heads)} |", f"|{'|'.join(rules)}|"]
    sources = {stem: _source(results) for stem, results in files.items()}
    for row, called in spec.rows.items():
        stem, model = row.split(":", 1) if len(files) > 1 else (next(iter(files)), row)
        if stem not in sources or model not in sources[stem].models:
            known = [model for source in sources.values() for model in source.models]
            raise ValueError(f"no row {row!r}; there are {', '.join(known)}")
        label, *texts = (called,) if isinstance(called, str) else called
        if (surplus := len(texts) - sum(what == "text" for what, _, _ in asked)) != 0:
            raise ValueError(f"row {row!r} has {'more' if surplus > 0 else 'fewer'} texts than the table has columns")
        cells = [
            label if what == "label" else texts.pop(0) if what == "text" else sources[stem].cell(what, model)
            for what, _, _ in asked
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


@dataclass(frozen=True)
class CsvSource:
    """A CSV's models, and what it can say of each."""

    models: list[str]
    columns: Callable[[str], Callable[[str], str] | None]

    def cell(self, what: str, model: str) -> str:
        found = self.columns(what)
        if found is None:
            raise ValueError(f"no column {what!r} in this kind of CSV")
        return found(model)


def _source(results: pd.DataFrame) -> CsvSource:
    if "cell" in results:
        return _of_study(results)
    return _of_epochs(results) if "round" in results else _of_run(results)


def _of_study(results: pd.DataFrame) -> CsvSource:
    """A row a model and cell, as `kd study` writes them."""
    complete = complete_cells(results)
    by_model = {str(model): rows for model, rows in complete.groupby("model", sort=False)}

    @cache
    def summaries(against: str | None = None) -> dict[str, ModelSummary]:
        return {summary.model: summary for summary in summarise(results, against=against)}

    columns: Columns = {
        "params": lambda m: f"{summaries()[m].params:,}",
        "nonzero": lambda m: f"{summaries()[m].nonzero_params:,}",
        "sizes": lambda m: _range(by_model[m]["params"], "{:,.0f}"),
        "macs": lambda m: _range(by_model[m]["macs_per_audio_second"] / 1e6, "{:.1f}"),
        "cells": lambda m: f"{summaries()[m].cells}",
        "seeds": lambda m: f"{by_model[m]['seed'].nunique()}",
        "epoch": lambda m: _range(by_model[m]["best_epoch"] + 1, "{:.0f}"),
        "valid": lambda m: f"{summaries()[m].valid_error:.1%}",
        "test": lambda m: f"{summaries()[m].test_error:.1%}",
        "error": lambda m: (
            format_interval(summaries()[m].error) if summaries()[m].error else f"{summaries()[m].test_error:.1%}"
        ),
        "minus": lambda m: format_interval(summaries()[m].against_baseline, signed=True),
        "minus teacher": lambda m: format_interval(summaries()[m].against_teacher, signed=True),
        "between": lambda m: f"± {summaries()[m].seed_spread:.1%}" if summaries()[m].seed_spread else "—",
    }

    def column(what: str) -> Callable[[str], str] | None:
        kind, _, name = what.partition(" ")
        if what in columns or not name:
            return columns.get(what)
        if kind == "minus":
            return lambda m: format_interval(summaries(name)[m].against_baseline, signed=True)
        return (lambda m: _of_fold(by_model[m], name)) if kind == "fold" else None

    return CsvSource([*by_model], column)


def _of_fold(rows: pd.DataFrame, fold: str) -> str:
    rows = rows[rows["fold"] == fold]
    if rows.empty:
        raise ValueError(f"no fold {fold!r}")
    return f"{(rows['errors'] / rows['units']).mean():.1%}"


def _of_run(results: pd.DataFrame) -> CsvSource:
    """A row a model, as the stage `report` writes reports/results.csv."""
    rows: dict[str, Any] = {str(row["model"]): row for row in results.to_dict("records")}
    columns: Columns = {
        "params": lambda m: f"{rows[m]['params']:,}",
        "nonzero": lambda m: f"{rows[m]['nonzero_params']:,}",
        "mb": lambda m: f"{rows[m]['size_bytes'] / 1e6:.2f}",
        "valid": lambda m: f"{rows[m]['valid_error']:.1%}",
        "error": lambda m: (
            f"{rows[m]['test_error']:.1%} ({rows[m]['test_error_low']:.1%} to {rows[m]['test_error_high']:.1%})"
        ),
    }
    return CsvSource([*rows], columns.get)


def _of_epochs(results: pd.DataFrame) -> CsvSource:
    """A row a job, way and round, as benchmarks/distillation_cost.py writes them; models are `JOB: WAY`."""
    counted = results[results["round"] != WARM_UP].sort_values("round")
    seconds = {f"{job}: {way}": rows["seconds"].tolist() for (job, way), rows in counted.groupby(["job", "way"])}

    def ratio(model: str) -> str:
        if model == _labels_alone(model):
            return "—"
        low, middle, high = statistics.quantiles(
            [a / b for a, b in zip(seconds[model], seconds[_labels_alone(model)], strict=True)], n=4
        )
        return f"{middle:.3f} ({low:.3f} to {high:.3f})"

    columns: Columns = {"seconds": lambda m: f"{statistics.median(seconds[m]):.3f}", "ratio": ratio}
    return CsvSource([*seconds], columns.get)


def _labels_alone(model: str) -> str:
    """The way that a way of the same job and tool is compared with, round by round."""
    job, *tool, _ = model.split(": ")
    return ": ".join([job, *tool, "labels alone"])


def _range(values: "pd.Series[float]", form: str) -> str:
    low, high = (form.format(value) for value in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"
