"""The error of every form of a model, heard through ONNX Runtime: for stage evaluate."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from kd.stats import error_interval
from tasks.checkpoint import Checkpoint
from tasks.data import PreparedData
from tasks.deployed import open_session
from tasks.forms.files import files_of, read_released
from tasks.forms.hearing import Ear
from tasks.forms.table import REFERENCE, closeness, decoded, error, make_table, rise
from tasks.watch import Watch


def evaluate_forms(
    checkpoint: Checkpoint, data: PreparedData, export: Path, folder: Path, confidence: float, watch: Watch
) -> dict[str, float]:
    """Write folder/forms.parquet (a row a form and utterance) and forms.json; gives the smaller forms' test errors."""
    description = json.loads((export / "export.json").read_text(encoding="utf-8"))
    ear = Ear.of(data, checkpoint, description["frontend_included"])
    released, files = read_released(export)["forms"], files_of(export)
    sessions = {form: open_session(file) for form, file in files.items()}
    utterances = (*data.split("valid"), *data.split("test"))
    rows = decoded(ear, sessions, utterances)
    total = len(utterances) * len(files)
    table = make_table(watch.progress(rows, total, f"decode {len(files)} forms"))
    folder.mkdir(parents=True, exist_ok=True)
    table.to_parquet(folder / "forms.parquet", index=False)
    found = {
        form: {
            "released": released[form]["released"],
            "size_bytes": file.stat().st_size,
            **_errors(table, form, confidence),
        }
        for form, file in files.items()
    }
    text = json.dumps({"confidence": confidence, "forms": found}, indent=1)
    (folder / "forms.json").write_text(text + "\n", encoding="utf-8")
    return {f"{form}/test_error": facts["test_error"] for form, facts in found.items() if form != REFERENCE}


def _errors(table: pd.DataFrame, form: str, confidence: float) -> dict[str, Any]:
    """Errors with the interval of the test part's, and its rise over float32 on the same utterances."""
    valid, test = (table[table["split"] == split] for split in ("valid", "test"))
    part = test[test["form"] == form]
    speakers = [None if pd.isna(speaker) else str(speaker) for speaker in part["speaker"]]
    interval = error_interval(
        part["errors"].tolist(), part["reference_units"].tolist(), speakers, confidence=confidence
    )
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
