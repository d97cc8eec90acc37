"""Charts as inline SVG that takes its colours from the page, so it follows light and dark.

matplotlib draws with stand-in colours; afterwards these become `currentColor` and the page's variables.
"""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from tasks.drawing import save
from tasks.metric_names import ERROR_WORDS
from tasks.reporting.results import Model

TEXT, GRID = "#000001", "#000002"
NUM_COLOURS = 8
MARKERS = "osD^vPX*"
SIZE_INCHES = (5.0, 3.7)
SAME_PLACE = 0.02
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 13,
    "text.color": TEXT,
    "axes.labelcolor": TEXT,
    "axes.edgecolor": GRID,
    "xtick.color": TEXT,
    "ytick.color": TEXT,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


def colour(index: int) -> str:
    """Stand-in colour of the model at this place in the table."""
    return f"#1000{index % NUM_COLOURS:02x}"


def error_chart(models: Sequence[Model], column: str, label: str, scale: float = 1.0) -> str:
    """Test error with its interval against another column on a log axis.

    Models at nearly the same place are drawn side by side.
    """
    values = np.array([m.row[column] * scale for m in models])
    with mpl.rc_context({**STYLE, "svg.hashsalt": column}):
        figure = Figure(figsize=SIZE_INCHES, layout="constrained")
        axes = figure.subplots()
        axes.set_xscale("log")
        margin = max(values.max() / values.min(), 3.0) ** 0.12
        axes.set_xlim(values.min() / margin, values.max() * margin)
        for i, (model, x) in enumerate(zip(models, side_by_side(values, axes), strict=True)):
            low, error, high = (100 * model.row[k] for k in ("test_error_low", "test_error", "test_error_high"))
            axes.errorbar(
                [x], [error], [[error - low], [high - error]],
                color=colour(i), marker=MARKERS[i % len(MARKERS)], markersize=8, capsize=4, linewidth=1.8,
            )  # fmt: skip
        axes.set_ylim(bottom=0)
        axes.set(xlabel=label, ylabel=f"test {error_words(models)} in %")
        plain_log_ticks(axes)
        return finish(figure, column)


def learning_curves(models: Sequence[Model]) -> str:
    """Validation error after each epoch."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": "curves"}):
        figure = Figure(figsize=SIZE_INCHES, layout="constrained")
        axes = figure.subplots()
        for i, model in enumerate(models):
            epochs, errors = model.curve["epoch"] + 1, 100 * model.curve["valid_error"]
            axes.plot(epochs, errors, color=colour(i), linewidth=1.8)
            if len(errors):
                axes.plot(epochs.iloc[-1:], errors.iloc[-1:], color=colour(i), marker=MARKERS[i % len(MARKERS)])
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="epoch", ylabel=f"validation {error_words(models)} in %")
        return finish(figure, "curves")


def noise_chart(curves: Sequence[tuple[list[float], list[float], float]], what: str) -> str:
    """Error against SNR in dB, one curve a model, with the error of the audio as it is at the right; what: its name."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": "noise"}):
        figure = Figure(figsize=SIZE_INCHES, layout="constrained")
        axes = figure.subplots()
        levels = curves[0][0]
        clean = levels[-1] + max((levels[-1] - levels[0]) / len(levels), 1.0)
        for i, (snr_db, errors, as_recorded) in enumerate(curves):
            places, heights = [*snr_db, clean], [100 * e for e in (*errors, as_recorded)]
            axes.plot(places, heights, color=colour(i), marker=MARKERS[i % len(MARKERS)], markersize=7, linewidth=1.8)
        axes.set_ylim(bottom=0)
        axes.set_xticks([*levels, clean], [*(f"{level:g}" for level in levels), "as recorded"])
        axes.set(xlabel="signal-to-noise ratio in dB", ylabel=f"test {what} in %")
        return finish(figure, "noise")


def epoch_curves(models: Sequence[Mapping[str, Sequence[float]]], column: str, label: str, scale: float = 1.0) -> str:
    """One column of each model's history after each epoch; models without it are left out, but keep their colours."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": column}):
        figure = Figure(figsize=SIZE_INCHES, layout="constrained")
        axes = figure.subplots()
        for i, columns in enumerate(models):
            if column in columns:
                epochs, values = np.array(columns["epoch"]) + 1, scale * np.array(columns[column])
                axes.plot(
                    epochs, values, color=colour(i), linewidth=1.8, marker=MARKERS[i % len(MARKERS)], markevery=[-1]
                )
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="epoch", ylabel=label)
        return finish(figure, column)


def error_words(models: Sequence[Model]) -> str:
    """What these models' errors are called in print."""
    return ERROR_WORDS[models[0].row["error_kind"]]


def marker_symbol(index: int) -> str:
    """The sign of a model as in the charts: an SVG symbol `sign-INDEX`, to be used beside its name."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": f"marker {index}"}):
        figure = Figure(figsize=(0.2, 0.2))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.plot([0], [0], color=colour(index), marker=MARKERS[index % len(MARKERS)], markersize=8)
        svg = finish(figure, f"marker-{index}")
    symbol = re.sub(r'^<svg[^>]*?(viewBox="[^"]*")[^>]*>', rf'<symbol id="sign-{index}" \1>', svg)
    return symbol.replace("</svg>", "</symbol>")


def themed(svg: str, prefix: str) -> str:
    """An SVG file's text made fit to stand in a page among others.

    No prologue, no metadata, no fixed size; ids that nothing points to are dropped, the others get the prefix.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r' id="[\w.]+_\d+"', "", svg)
    svg = re.sub(r'( id="|href="#|url\(#)', rf"\1{prefix}-", svg)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r"\1", svg, count=1)
    return re.sub(r"font-family: [^;\"]*", "font-family: inherit", svg)


def finish(figure: Figure, prefix: str) -> str:
    """The figure as SVG for the page, in the page's colours; prefix: keeps its ids apart from other figures'."""
    file = io.StringIO()
    save(figure, file, format="svg", transparent=True, metadata={"Date": None})
    svg = themed(file.getvalue(), prefix).replace(TEXT, "currentColor").replace(GRID, "var(--grid)")
    return re.sub(r"#1000(\d\d)", lambda match: f"var(--model-{int(match[1])})", svg)


def side_by_side(values: Any, axes: Axes) -> list[float]:
    """Places on the log axis; those that nearly coincide are moved apart by a fiftieth of its width."""
    low, high = axes.get_xlim()
    width = np.log(high / low)
    places = np.log(values / low) / width
    moved = places.copy()
    left = list(np.argsort(places, kind="stable"))
    while left:
        group = [i for i in left if places[i] - places[left[0]] < SAME_PLACE]
        moved[group] += SAME_PLACE * (np.arange(len(group)) - (len(group) - 1) / 2)
        left = left[len(group) :]
    return [float(x) for x in low * np.exp(moved * width)]


def plain_log_ticks(axes: Axes) -> None:
    """0.2, 0.5, 1, 2, 5, 10 instead of powers of ten; evenly spaced numbers where the axis is short."""
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)) if high / low > 5 else MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
