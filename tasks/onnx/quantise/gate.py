"""The gate: a form whose error rate is above float32's by more than the margin is not released.

It is held on the validation part, which also fixed the ranges of static 8-bit forms and chose mixed ones; the
test part is not looked at. The estimate of the rise decides; its interval is told beside it.
"""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from kd.stats import Interval
from tasks.metric_names import error_name
from tasks.onnx.forms_table import REFERENCE, error, rise
from tasks.params.evaluation import EvaluationParams


@dataclass(frozen=True)
class GateResult:
    """One form at the gate; `fault`: why it cannot be used whatever its errors, or empty."""

    form: str
    valid_error: float
    rise: Interval
    allowed_rise: float
    fault: str = ""

    @property
    def released(self) -> bool:
        return not self.fault and self.rise.estimate <= self.allowed_rise

    @property
    def reason(self) -> str:
        if self.fault:
            return self.fault
        if self.form == REFERENCE:
            return "the reference"
        how = "within" if self.released else "beyond"
        return f"error rate {100 * self.rise.estimate:+.2f} points, {how} the {100 * self.allowed_rise:.2f} allowed"

    def described(self, error_kind: str) -> dict[str, Any]:
        """As released.json has it; error_kind: see `tasks.metric_names`."""
        return {
            "released": self.released,
            "reason": self.reason,
            error_name("valid_error", error_kind): self.valid_error,
            "rise": self.rise.estimate,
            "rise_low": self.rise.low,
            "rise_high": self.rise.high,
        }


def check_form(table: pd.DataFrame, form: str, settings: EvaluationParams, fault: str = "") -> GateResult:
    """Hold one form against float32; table: `tasks.onnx.forms_table` rows of both."""
    allowed = settings.margin.of(error(table, REFERENCE))
    return GateResult(form, error(table, form), rise(table, form, settings.confidence), allowed, fault)
