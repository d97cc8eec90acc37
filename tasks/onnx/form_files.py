"""Where the forms of a model lie in its export's folder, and what is known of them."""

import json
from pathlib import Path
from typing import Any

from kd.runtime.bundle import FORMS
from tasks.metric_names import plain_errors

FILES = {
    "float32": FORMS["float32"],
    "float16": FORMS["float16"],
    "int8_dynamic": "model.int8_dynamic.onnx",
    "int8_static": "model.int8_static.onnx",
    "int8_mixed": "model.int8_mixed.onnx",
}
BEST_INT8 = FORMS["int8"]
"""A copy of the released 8-bit form of the lowest error rate: what a user of 8 bits takes."""
REFUSED = "refused"
"""The folder of what the gate refused, so that nobody takes it by mistake."""
RELEASED = "released.json"


def read_released(export: Path) -> dict[str, Any]:
    """released.json, with the names that code has for errors.

    Raises ValueError where the export was not made by this version.
    """
    file = export / RELEASED
    if not file.is_file():
        raise ValueError(f"{file} is missing: it says which forms of the model passed the gate. Run the stage export")
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return {**found, "forms": {form: plain_errors(facts) for form, facts in found["forms"].items()}}


def files_of(export: Path) -> dict[str, Path]:
    """Every form's file, the refused ones' too; float32 first."""
    return {form: export / facts["file"] for form, facts in read_released(export)["forms"].items()}
