"""One row a model: what `report` gathers from evaluation, timings and checkpoints."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from kd.config.renamed import in_new_words
from tasks.runner.atomic_io import write_whole
from tasks.runner.paths import Paths
from tasks.training.history import RENAMED

COLUMNS = (
    "model", "role", "init", "objective", "params", "nonzero_params", "size_bytes", "macs_per_audio_second",
    "error_kind", "test_error", "test_error_low", "test_error_high", "latency_ms_p50", "latency_ms_p95", "rtf",
    "peak_memory_mb", "valid_error", "cer", "frontend_macs_per_audio_second", "baseline_memory_mb",
)  # fmt: skip
"""Columns of reports/results.csv, in their order; `verdict` follows."""


@dataclass(frozen=True)
class Model:
    """All that the report says of one model.

    row: COLUMNS to values; curve: its history, one row an epoch; utterances: its evaluation's table;
    encoder: the settings of its shape; conditions: its hypotheses under each; num_units: its outputs, where known;
    unfinished: the sign of a training that ended too early.
    """

    name: str
    row: dict[str, Any]
    interval_method: str
    family: str
    lineage: tuple[str, ...]
    facts: dict[str, float]
    curve: pd.DataFrame
    utterances: pd.DataFrame
    encoder: Mapping[str, Any] = field(default_factory=dict)
    conditions: pd.DataFrame = field(default_factory=pd.DataFrame)
    num_units: int | None = None
    unfinished: str | None = None

    @property
    def test(self) -> pd.DataFrame:
        return self.utterances[self.utterances["split"] == "test"].reset_index(drop=True)

    @property
    def shape(self) -> dict[str, Any]:
        """What two models share that differ in nothing but their weights."""
        return {key: value for key, value in self.encoder.items() if key != "dropout"}


def read_model(paths: Paths, name: str, timings: dict[str, Any]) -> Model:
    """Gather one model's facts. Raises ValueError naming the file and the stage that is missing."""
    config = json.loads(_text(paths.model(name) / "config.json", "teacher or distil"))
    metrics = json.loads(_text(paths.evaluation(name) / "metrics.json", "evaluate"))
    if name not in timings["models"]:
        raise ValueError(
            f"{paths.reports}/timings.json holds {', '.join(timings['models'])}, but not {name}. "
            "Run the stage profile again"
        )
    encoder = in_new_words(config["model"]["encoder"])
    known = {"model": name, **{k: config[k] for k in ("role", "init", "objective")}, **metrics}
    known |= timings["models"][name]
    history = paths.model(name) / "history.csv"
    return Model(
        name=name,
        row={column: known[column] for column in COLUMNS},
        interval_method=metrics["interval_method"],
        family=_describe(encoder),
        lineage=tuple(config["lineage"]),
        facts={k: v for k, v in config["facts"].items() if isinstance(v, int | float)},
        curve=pd.read_csv(history).rename(columns=RENAMED)
        if history.is_file()
        else pd.DataFrame(columns=["epoch", "valid_error"]),
        utterances=pd.read_parquet(paths.evaluation(name) / "utterances.parquet"),
        encoder=encoder,
        conditions=pd.read_parquet(paths.evaluation(name) / "conditions.parquet"),
        num_units=config["model"]["num_outputs"],
        unfinished=config["facts"].get("unfinished"),
    )


def write_results(file: Path, models: Sequence[Model], verdicts: Mapping[str, str]) -> None:
    """results.csv: one row a model, and in the end what it is found to be against the teacher and the baseline."""
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [{**model.row, "verdict": verdicts[model.name]} for model in models]
    write_whole(file, pd.DataFrame(rows, columns=[*COLUMNS, "verdict"]).to_csv(index=False))


def _describe(encoder: Mapping[str, Any]) -> str:
    """A family in a few words: `rnn (gru, bidirectional), 2 layers of width 48`."""
    details = (
        [encoder["cell"], "bidirectional" if encoder["bidirectional"] else "unidirectional"]
        if "cell" in encoder
        else []
    )
    name = str(encoder["family"]) + (f" ({', '.join(details)})" if details else "")
    if "layers" not in encoder:
        return name
    return f"{name}, {encoder['layers']} layer{'s' * (encoder['layers'] != 1)} of width {encoder['width']}"


def _text(file: Path, stage: str) -> str:
    if not file.is_file():
        raise ValueError(f"{file} is missing: run the stage {stage} first")
    return file.read_text(encoding="utf-8")
