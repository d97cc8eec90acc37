"""Stage `evaluate NAME`: what exports/NAME makes of the validation and test utterances, and its error rates.

Through kd.runtime, which is what users run, on test audio as it was recorded: the errors are those of
`kd transcribe` on the same files. Nothing is timed here, so the outputs are the same, run after run. Decoding is
greedy, on the CPU.
"""

import json
from pathlib import Path

import pandas as pd

from kd.models.macs import count_params, frontend_macs_per_audio_second, macs_per_audio_second
from kd.runtime.bundle import FORMS, Bundle
from kd.text.metrics import Edits, error_rate
from tasks.checkpoint import Checkpoint, load_checkpoint
from tasks.data.prepared import PreparedData
from tasks.evaluation.canary import canary_result
from tasks.evaluation.conditions import condition_errors, condition_table
from tasks.evaluation.error_rows import error_rows, speakers_interval
from tasks.evaluation.forms import evaluate_forms
from tasks.metric_names import ERROR_KINDS, named_errors
from tasks.onnx.onnx_decoder import OnnxDecoder
from tasks.params.pipeline import Params
from tasks.runner.atomic_io import write_parquet, write_whole
from tasks.runner.paths import Paths
from tasks.runner.reporter import NullReporter, Reporter

SPLITS = ("valid", "test")


def error_metrics(table: pd.DataFrame, confidence: float) -> dict[str, float | str]:
    """Error rates of both splits, and the interval of the test's over its speakers."""
    valid, test = (table[table["split"] == split] for split in SPLITS)
    interval = speakers_interval(test, confidence)
    return {
        "test_error": interval.estimate,
        "test_error_low": interval.low,
        "test_error_high": interval.high,
        "interval_method": interval.method,
        "valid_error": _pooled(valid, "errors", "reference_units"),
        "cer": _pooled(test, "char_errors", "char_units"),
    }


def size_metrics(checkpoint: Checkpoint, onnx_file: Path) -> dict[str, float]:
    """Parameters, bytes of the exported file, multiply-accumulates."""
    if not onnx_file.is_file():
        raise ValueError(f"{onnx_file} is missing: its size is part of the evaluation. Run the stage export first")
    params, nonzero = count_params(checkpoint.model)
    model = checkpoint.model
    return {
        "params": params,
        "nonzero_params": nonzero,
        "size_bytes": onnx_file.stat().st_size,
        "macs_per_audio_second": macs_per_audio_second(model, model.settings, checkpoint.frontend),
        "frontend_macs_per_audio_second": frontend_macs_per_audio_second(checkpoint.frontend),
    }


def run(params: Params, paths: Paths, name: str = "", reporter: Reporter = NullReporter()) -> dict[str, float]:
    """Write evaluation/NAME/: hypotheses of audio as recorded, under conditions and by each form; metrics.json.

    Where params name a canary, its utterances are in the same table as the split `canary`.
    """
    checkpoint = load_checkpoint(paths.model(name))
    data = PreparedData.load(paths.prepared, sample_rate_hz=checkpoint.frontend.sample_rate_hz)
    if data.vocabulary != checkpoint.vocabulary:
        raise ValueError(
            f"models/{name} was trained for {len(checkpoint.vocabulary)} units, {paths.prepared} holds "
            f"{len(data.vocabulary)}, and they are not the same. Prepare the data with the model's units, or retrain"
        )
    sizes = size_metrics(checkpoint, paths.export(name) / FORMS["float32"])
    folder, confidence = paths.evaluation(name), params.evaluation.confidence
    decoder = OnnxDecoder(data, Bundle.load(paths.export(name)))
    hypotheses, forms = evaluate_forms(decoder, folder, confidence, reporter)
    utterances = [utterance for split in SPLITS for utterance in data.split(split)]
    canary = canary_result(params, paths, decoder.bundle, data, reporter)
    rows = [*error_rows(decoder, utterances, hypotheses), *canary.rows]
    table = pd.DataFrame(rows).astype({"speaker": "str", "snr_db": "float64"})
    kind = ERROR_KINDS[checkpoint.model.settings.problem]
    metrics = {"error_kind": kind, **error_metrics(table, confidence), **sizes, **canary.metrics}
    write_parquet(folder / "utterances.parquet", table)
    conditions = condition_table(decoder, params.evaluation, reporter)
    write_parquet(folder / "conditions.parquet", conditions)
    write_whole(folder / "metrics.json", json.dumps(named_errors(metrics, kind), indent=1) + "\n")
    reporter.say(
        f"{name}: {metrics['test_error']:.1%} {kind} on test, "
        f"{metrics['test_error_low']:.1%} to {metrics['test_error_high']:.1%} by {metrics['interval_method']}"
    )
    if canary.rows:
        reporter.say(f"{name}: {metrics['canary_error']:.1%} {kind} on the canary {metrics['canary']}")
    numbers = {key: float(value) for key, value in metrics.items() if not isinstance(value, str)}
    return {**numbers, **forms, **condition_errors(conditions)}


def _pooled(table: pd.DataFrame, errors: str, units: str) -> float:
    return error_rate([Edits(substitutions=int(table[errors].sum()), reference_units=int(table[units].sum()))])
