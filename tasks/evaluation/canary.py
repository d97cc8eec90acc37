"""What a model makes of the canary, and its error rate there."""

import json
from dataclasses import dataclass
from typing import Any

import pandas as pd

from kd.runtime.bundle import Bundle
from tasks.data.prepared import PreparedData
from tasks.evaluation.error_rows import error_rows, speakers_interval
from tasks.onnx.form_files import FILES
from tasks.onnx.forms_table import REFERENCE
from tasks.onnx.onnx_decoder import OnnxDecoder
from tasks.params.pipeline import Params
from tasks.runner.paths import Paths
from tasks.runner.reporter import Reporter

SPLIT = "canary"
"""What tables of errors have as the split of its utterances."""
FACTS = ("utterances", "speakers", "unnamed", "unwritable", "quarantined")


@dataclass(frozen=True)
class CanaryResult:
    """rows: as of the test part, with the split `canary`; metrics: the error with its interval, and counts."""

    rows: list[dict[str, Any]]
    metrics: dict[str, float | str]


def canary_result(
    params: Params, paths: Paths, bundle: Bundle, test_data: PreparedData, reporter: Reporter
) -> CanaryResult:
    """Scored through the exported float32 file, as the test part; empty where params name no canary."""
    rows, metrics = list[dict[str, Any]](), dict[str, float | str]()
    for name in params.evaluation.canary:  # one at most
        folder = paths.canary(name)
        if not (folder / "canary.json").is_file():
            raise ValueError(f"{folder}/canary.json is missing: run the stage canary {name} first")
        data = PreparedData.load(folder, sample_rate_hz=test_data.sample_rate_hz)
        if data.vocabulary != test_data.vocabulary:
            raise ValueError(f"{folder} and {test_data.folder} hold other units: run the stage canary {name} again")
        decoder, utterances = OnnxDecoder(data, bundle), data.split("test")
        recogniser = decoder.open(bundle.folder / FILES[REFERENCE])
        transcripts = (decoder.transcribe(recogniser, utterance) for utterance in utterances)
        found = error_rows(decoder, utterances, reporter.progress(transcripts, len(utterances), f"canary {name}"))
        rows = [{**row, "split": SPLIT} for row in found]
        facts = json.loads((folder / "canary.json").read_text(encoding="utf-8"))
        counts = {f"canary_{key}": int(facts[key]) for key in FACTS}
        metrics = {"canary": name, **_errors(pd.DataFrame(rows), params.evaluation.confidence), **counts}
    return CanaryResult(rows, metrics)


def _errors(table: pd.DataFrame, confidence: float) -> dict[str, float | str]:
    interval = speakers_interval(table, confidence)
    return {
        "canary_error": interval.estimate,
        "canary_error_low": interval.low,
        "canary_error_high": interval.high,
        "canary_interval_method": interval.method,
    }
