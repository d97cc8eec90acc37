"""The report's charts of errors as pictures, for places that cannot show its page."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from tasks.drawing import save
from tasks.metric_names import ERROR_WORDS

INCHES, DOTS_PER_INCH = (7.0, 4.5), 100


def error_png(rows: Sequence[Mapping[str, Any]], column: str, label: str) -> bytes:
    """Test error with its interval against another column of reports/results.csv on a log axis, as a PNG file."""
    figure = Figure(figsize=INCHES, layout="constrained")
    axes = figure.subplots()
    axes.set_xscale("log")
    for row in rows:
        low, error, high = (100 * row[key] for key in ("test_error_low", "test_error", "test_error_high"))
        axes.errorbar(
            [row[column]], [error], [[error - low], [high - error]], marker="o", capsize=4, label=row["model"]
        )
    axes.set(xlabel=label, ylabel=f"test {ERROR_WORDS[rows[0]['error_kind']]} in %", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()
    file = io.BytesIO()
    save(figure, file, format="png", dpi=DOTS_PER_INCH)
    return file.getvalue()
