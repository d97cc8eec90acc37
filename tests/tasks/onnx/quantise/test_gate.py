"""The gate by hand: what the margin lets through, whatever else is known of a form."""

from typing import Any

import pandas as pd
import pytest

from tasks.onnx.quantise.gate import check_form
from tasks.params.evaluation import EvaluationParams


def table(**errors: list[int]) -> pd.DataFrame:
    """Ten words an utterance, two speakers; errors by form."""
    rows: list[dict[str, Any]] = []
    for form, counts in errors.items():
        for i, count in enumerate(counts):
            rows.append({
                "form": form, "id": f"u{i}", "speaker": f"s{i % 2}", "errors": count, "reference_units": 10,
            })  # fmt: skip
    return pd.DataFrame(rows)


def settings(kind: str, value: float) -> EvaluationParams:
    return EvaluationParams.model_validate({"margin": {"kind": kind, "value": value}})


HEARD = table(float32=[1, 2, 1, 2], int8=[1, 2, 2, 2])
"""15 % and 17.5 %: 2.5 points more, a sixth more."""


@pytest.mark.parametrize(
    ("kind", "value", "released"),
    [
        ("absolute", 0.024, False),
        ("absolute", 0.026, True),
        ("relative", 0.16, False),
        ("relative", 0.17, True),
    ],
)
def test_the_margin_decides(kind: str, value: float, released: bool) -> None:
    found = check_form(HEARD, "int8", settings(kind, value))
    assert found.released is released
    assert found.valid_error == pytest.approx(0.175)
    assert found.rise.estimate == pytest.approx(0.025)
    assert found.rise.low < 0.025 < found.rise.high
    assert found.reason.startswith(f"error rate +2.50 points, {'within' if released else 'beyond'} the ")


def test_what_errs_less_passes() -> None:
    assert check_form(table(float32=[1, 2], int8=[0, 2]), "int8", settings("absolute", 0.001)).released


def test_a_fault_is_refused_whatever_the_errors() -> None:
    found = check_form(table(float32=[1, 2], int8=[0, 0]), "int8", settings("absolute", 0.5), fault="not a number")
    assert not found.released
    assert found.described("wer")["reason"] == "not a number"


def test_the_reference_always_passes() -> None:
    assert check_form(HEARD, "float32", settings("relative", 0.001)).described("wer")["released"] is True
