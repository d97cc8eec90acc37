"""One row a model: what `report` gathers from evaluation, timings and checkpoints."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from kd.config.renamed import in_new_words
from tasks.metric_names import error_name, plain_errors
from tasks.runner.atomic_io import write_whole
from tasks.runner.paths import Paths
from tasks.training.history import column_name

COLUMNS = (
    "model", "role", "init", "objective", "params", "nonzero_params", "size_bytes", "macs_per_audio_second",
    "error_kind", "test_error", "test_error_low", "test_error_high", "latency_ms_p50", "latency_ms_p95", "rtf",
    "peak_memory_mb", "valid_error", "cer", "frontend_macs_per_audio_second", "baseline_memory_mb",
)  # fmt: skip
"""Of a row, in their order."""
CANARY_COLUMNS = ("canary", "canary_error", "canary_error_low", "canary_error_high")
"""Of reports/results.csv where there is a canary."""
LAST = ("verdict", "test_error")
"""How reports/results.csv ends: `dvc plots` draws the last column where dvc.yaml names none, as its name varies."""


@dataclass(frozen=True)
class Model:
    """All that the report says of one model.

    row: COLUMNS to values; curve: its history, one row an epoch; utterances: its evaluation's table;
    encoder: the settings of its shape; conditions: its hypotheses under each; num_units: its outputs, where known;
    unfinished: the sign of a training that ended too early; canary: what metrics.json says of the canary, if any.
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
    canary: Mapping[str, Any] = field(default_factory=dict)

    @property
    def test(self) -> pd.DataFrame:
        return self.part("test")

    def part(self, split: str) -> pd.DataFrame:
        """Its hypotheses of one part: valid, test or canary."""
        return self.utterances[self.utterances["split"] == split].reset_index(drop=True)

    @property
    def shape(self) -> dict[str, Any]:
        """What two models share that differ in nothing but their weights."""
        return {key: value for key, value in self.encoder.items() if key != "dropout"}


def read_model(paths: Paths, name: str, timings: dict[str, Any]) -> Model:
    """Gather one model's facts. Raises ValueError naming the file and the stage that is missing."""
    config = json.loads(_text(paths.model(name) / "config.json", "teacher or distil"))
    metrics = plain_errors(json.loads(_text(paths.evaluation(name) / "metrics.json", "evaluate")))
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
        facts={k: v for k, v in plain_errors(config["facts"]).items() if isinstance(v, int | float)},
        curve=pd.read_csv(history).rename(columns=column_name)
        if history.is_file()
        else pd.DataFrame(columns=["epoch", "valid_error"]),
        utterances=pd.read_parquet(paths.evaluation(name) / "utterances.parquet"),
        encoder=encoder,
        conditions=pd.read_parquet(paths.evaluation(name) / "conditions.parquet"),
        num_units=config["model"]["num_outputs"],
        unfinished=config["facts"].get("unfinished"),
        canary={key: value for key, value in metrics.items() if key.partition("_")[0] == "canary"},
    )


def write_results(file: Path, models: Sequence[Model], verdicts: Mapping[str, str]) -> None:
    """results.csv: one row a model, with its verdict: what it is found to be against the teacher and the baseline."""
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [{**model.canary, **model.row, "verdict": verdicts[model.name]} for model in models]
    canary = CANARY_COLUMNS if any(model.canary for model in models) else ()
    columns = [*(column for column in COLUMNS if column not in LAST), *canary, *LAST]
    table = pd.DataFrame(rows, columns=columns)
    kind = str(models[0].row["error_kind"])
    write_whole(file, table.rename(columns=lambda column: error_name(column, kind)).to_csv(index=False))


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
    # wav2vec2's width is that of all groups of its positional convolution
    width = encoder["width"] if "width" in encoder else encoder["position_groups"] * encoder["width_per_group"]
    return f"{name}, {encoder['layers']} layer{'s' * (encoder['layers'] != 1)} of width {width}"


def _text(file: Path, stage: str) -> str:
    if not file.is_file():
        raise ValueError(f"{file} is missing: run the stage {stage} first")
    return file.read_text(encoding="utf-8")
