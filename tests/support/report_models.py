"""Models as the report reads them, of made-up errors."""

from typing import Any

import pandas as pd

from tasks.params.evaluation import EvaluationParams
from tasks.reporting.results import COLUMNS, Model

EVALUATION = EvaluationParams()
SMALL = {"family": "rnn", "width": 8}
NUM_SPEAKERS = 8


def make_model(
    name: str, role: str, errors: list[int], kind: str = "wer", shape: dict[str, Any] | None = None, **row: Any
) -> Model:
    """A model whose test utterances have ten words each and these errors, by eight speakers."""
    count = len(errors)
    table = pd.DataFrame({
        "id": [f"u{i}" for i in range(count)],
        "split": "test",
        "speaker": [f"s{i % NUM_SPEAKERS}" for i in range(count)],
        "reference": "a b c d e f g h i j",
        "hypothesis": [" ".join(["x"] * e + list("abcdefghij")[e:]) for e in errors],
        "errors": errors,
        "reference_units": 10,
        "snr_db": float("nan"),
        "duration_s": [1.0 + i % 5 for i in range(count)],
    })  # fmt: skip
    rate = sum(errors) / (10 * count)
    values = {
        "model": name, "role": role, "error_kind": kind, "test_error": rate, "valid_error": rate, "size_bytes": 1e6,
        "rtf": 0.1, "test_error_low": rate / 2, "test_error_high": rate * 2, "latency_ms_p50": 5.0,
        "nonzero_params": 1000, **row,
    }  # fmt: skip
    curve = pd.DataFrame({"epoch": [0, 1, 2], "valid_error": [0.9, 0.5, rate]})
    encoder = SMALL if shape is None else shape
    return Model(name, {c: values.get(c, 0) for c in COLUMNS}, "m", "rnn", (), {}, curve, table, encoder)


TEACHER = make_model(
    "teacher", "teacher", [0, 1, 0, 1] * 6, shape={"family": "rnn", "width": 99}, size_bytes=19e6, rtf=0.5
)
BASELINE = make_model("baseline", "baseline", [5, 4, 6, 5] * 6)
STUDENT = make_model("taught", "student", [1, 2, 1, 2] * 3 + [1, 2, 2, 1] * 3)
