"""The error rate of every form of a model, run in ONNX Runtime: for stage evaluate."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from tasks.evaluation.error_rows import speakers_interval
from tasks.metric_names import ERROR_KINDS, named_errors
from tasks.onnx.form_files import files_of, read_released
from tasks.onnx.forms_table import REFERENCE, closeness, decoded, error, make_table, rise
from tasks.onnx.onnx_decoder import OnnxDecoder
from tasks.runner.atomic_io import write_parquet, write_whole
from tasks.runner.reporter import Reporter


def evaluate_forms(
    decoder: OnnxDecoder, folder: Path, confidence: float, reporter: Reporter
) -> tuple[list[str], dict[str, float]]:
    """Write folder/forms.parquet (a row a form and utterance) and forms.json.

    Gives what float32 made of the validation and test utterances, in this order, and the smaller forms' test errors.
    """
    export = decoder.bundle.folder
    released, files = read_released(export)["forms"], files_of(export)
    recognisers = {form: decoder.open(file) for form, file in files.items()}
    utterances = (*decoder.data.split("valid"), *decoder.data.split("test"))
    rows = decoded(decoder, recognisers, utterances)
    total = len(utterances) * len(files)
    table = make_table(reporter.progress(rows, total, f"decode {len(files)} forms"))
    folder.mkdir(parents=True, exist_ok=True)
    write_parquet(folder / "forms.parquet", table)
    found = {
        form: {
            "released": released[form]["released"],
            "size_bytes": file.stat().st_size,
            **_errors(table, form, confidence),
        }
        for form, file in files.items()
    }
    kind = ERROR_KINDS[decoder.bundle.problem]
    named = {form: named_errors(facts, kind) for form, facts in found.items()}
    text = json.dumps({"confidence": confidence, "forms": named}, indent=1)
    write_whole(folder / "forms.json", text + "\n")
    hypotheses = table[table["form"] == REFERENCE]["hypothesis"].tolist()
    return hypotheses, {f"{form}/test_error": facts["test_error"] for form, facts in found.items() if form != REFERENCE}


def _errors(table: pd.DataFrame, form: str, confidence: float) -> dict[str, Any]:
    """Errors with the interval of the test part's, and its rise over float32 on the same utterances."""
    valid, test = (table[table["split"] == split] for split in ("valid", "test"))
    interval = speakers_interval(test[test["form"] == form], confidence)
    difference = rise(test, form, confidence)
    return {
        "valid_error": error(valid, form),
        "test_error": interval.estimate,
        "test_error_low": interval.low,
        "test_error_high": interval.high,
        "rise": difference.estimate,
        "rise_low": difference.low,
        "rise_high": difference.high,
        "interval_method": difference.method,
        **closeness(test, form),
    }
