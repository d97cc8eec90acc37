"""docs/error-against-size.svg, the picture of README.md, drawn from a run's results.csv.

`python -m tasks.reporting.size_picture [RESULTS.csv]`; by default of docs/results/default.csv.
"""

import io
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tasks.drawing import save
from tasks.metric_names import ERROR_WORDS, error_name
from tasks.reporting.figures import MARKERS, STYLE, plain_log_ticks, side_by_side
from tasks.runner.atomic_io import write_whole

RESULTS = Path("docs/results/default.csv")
PICTURE = Path("docs/error-against-size.svg")
COLOURS = ("#3b5bdb", "#868e96", "#d9480f", "#0b7285", "#862e9c", "#2b8a3e", "#c2255c", "#8f6a00")
TEXT, GRID = "#343a40", "#dee2e6"
LABEL_GAP = 0.055
"""Of the height of the axes: the least distance of two labels."""


def size_picture(results: pd.DataFrame) -> str:
    """An SVG file's text: test error of each model, with its interval, against the bytes of its ONNX file."""
    results = results.rename(columns=lambda column: error_name(column, "error"))
    what = ERROR_WORDS[results["error_kind"].iloc[0]]
    colours: dict[Any, Any] = {"text.color": TEXT, "axes.labelcolor": TEXT, "axes.edgecolor": GRID, "grid.color": GRID}
    ticks: dict[Any, Any] = {"xtick.color": TEXT, "ytick.color": TEXT, "font.size": 11, "svg.hashsalt": "size"}
    with mpl.rc_context({**STYLE, **colours, **ticks}):
        figure = Figure(figsize=(7.0, 4.0), layout="constrained", facecolor="white")
        axes = figure.subplots()
        axes.set_xscale("log")
        megabytes = results["size_bytes"].to_numpy() / 1e6
        axes.set_xlim(megabytes.min() / 1.25, megabytes.max() * 2.1)
        axes.set_ylim(0, 105 * results["test_error_high"].max())
        low, error, high = (100 * results[f"test_error{end}"].to_numpy() for end in ("_low", "", "_high"))
        places = side_by_side(megabytes, axes)
        for i, x in enumerate(places):
            style: dict[str, Any] = {
                "color": COLOURS[i % len(COLOURS)],
                "marker": MARKERS[i % len(MARKERS)],
                "markersize": 8,
            }
            axes.errorbar([x], [error[i]], [[error[i] - low[i]], [high[i] - error[i]]], capsize=4, **style)
        heights = apart(error / axes.get_ylim()[1]) * axes.get_ylim()[1]
        for i, name in enumerate(results["model"]):
            right = max(x for x, other in zip(places, megabytes, strict=True) if other == megabytes[i])
            axes.annotate(
                f"{name}  {error[i]:.1f} %", (right, heights[i]), (12, 0),
                textcoords="offset points", va="center", color=COLOURS[i % len(COLOURS)],
            )  # fmt: skip
        axes.set(xlabel="ONNX file in MB", ylabel=f"test {what} in %, with 95 % interval")
        plain_log_ticks(axes)
        file = io.StringIO()
        save(figure, file, format="svg", metadata={"Date": None})
        return file.getvalue()


def apart(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places moved apart until neighbours are LABEL_GAP from one another; their order stays."""
    order = np.argsort(places, kind="stable")
    moved = places[order].astype(float)
    for _ in range(100):
        for i in range(len(moved) - 1):
            if (lacking := LABEL_GAP - (moved[i + 1] - moved[i])) > 0:
                moved[i] -= lacking / 2
                moved[i + 1] += lacking / 2
    found = np.empty_like(moved)
    found[order] = moved
    return found


if __name__ == "__main__":
    write_whole(PICTURE, size_picture(pd.read_csv(sys.argv[1] if len(sys.argv) > 1 else RESULTS)))
