"""A picture of what was kept where: a strip for each dimension or tensor, layer by layer."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tasks.reporting.figures import GRID, STYLE, TEXT, colour, finish

MOST_STEPS = 128
"""Steps of a strip; where there are more units, several share one, as high as their share of what was kept."""
ACROSS = 4
WIDTH_INCHES, ROW_INCHES, MARGIN_INCHES, NOTE_INCHES = 7.6, 0.42, 0.8, 0.78


@dataclass(frozen=True)
class Strip:
    """One dimension or tensor of the source.

    row: `layer 3`, or empty where it belongs to no layer; shares: of each unit, what is left, 0 to 1; note: that in
    figures; new: its weights are fresh.
    """

    row: str
    column: str
    shares: Sequence[float]
    note: str
    new: bool = False


def strips_picture(strips: Sequence[Strip], place: int, name: str) -> str:
    """Strips in a grid as SVG, in the colour of the model at this place; fresh weights have an outline alone."""
    blocks = _blocks(strips)
    height = sum(len(rows) + 0.9 for _, rows in blocks)
    with mpl.rc_context({**STYLE, "svg.hashsalt": name, "axes.grid": False, "font.size": 10}):
        figure = Figure(figsize=(WIDTH_INCHES, ROW_INCHES * height))
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH_INCHES), ylim=(height, 0))
        axes.set_axis_off()
        top = 0.0
        cells = {(strip.row, strip.column): strip for strip in strips}
        for columns, rows in blocks:
            width = (WIDTH_INCHES - MARGIN_INCHES) / len(columns)
            for i, column in enumerate(columns):
                axes.text(MARGIN_INCHES + i * width, top + 0.55, column)
            for j, row in enumerate(rows):
                axes.text(0, top + 1.4 + j, row)
                for i, column in enumerate(columns):
                    if (row, column) in cells:
                        _draw(axes, cells[row, column], MARGIN_INCHES + i * width, top + 0.85 + j, width - 0.1, place)
            top += len(rows) + 0.9
        return re.sub(r"(\d\.\d\d)\d+", r"\1", finish(figure, name))


def binned(shares: Sequence[float], most: int = MOST_STEPS) -> list[float]:
    """At most so many mean shares of neighbours, whose numbers differ by one at most."""
    return [float(np.mean(part)) for part in np.array_split(np.asarray(shares, float), min(most, len(shares)))]


def outlined(heights: Sequence[float]) -> list[tuple[float, float]]:
    """Corners of a step function above the axis from (0, 0) to (1, 0); equal neighbours are one step."""
    changes = [i for i, height in enumerate(heights) if i == 0 or height != heights[i - 1]]
    ends = [*changes[1:], len(heights)]
    corners = [(x / len(heights), heights[i]) for i, end in zip(changes, ends, strict=True) for x in (i, end)]
    return [(0.0, 0.0), *corners, (1.0, 0.0)]


def _blocks(strips: Sequence[Strip]) -> list[tuple[list[str], list[str]]]:
    """(columns, rows) of grids below one another, each a few columns wide; what belongs to no layer comes first."""
    blocks = []
    for layered in (False, True):
        part = [strip for strip in strips if bool(strip.row) is layered]
        columns = list(dict.fromkeys(strip.column for strip in part))
        rows = list(dict.fromkeys(strip.row for strip in part))
        lines = -(-len(columns) // ACROSS)
        blocks += [(list(some), rows) for some in np.array_split(np.array(columns, object), lines)] if lines else []
    return blocks


def _draw(axes: Axes, strip: Strip, left: float, top: float, width: float, place: int) -> None:
    bar, gap = width - NOTE_INCHES, 0.06
    low, high = top + 0.66, top + 0.26
    edge = colour(place) if strip.new else GRID
    outline = [left, left + bar, left + bar, left], [low, low, high, high]
    axes.fill(*outline, facecolor="none", edgecolor=edge, linewidth=0.8, linestyle="--" if strip.new else "-")
    if strip.shares and not strip.new:
        steps = outlined(binned(strip.shares))
        corners = zip(*((left + bar * x, low + (high - low) * y) for x, y in steps), strict=True)
        axes.fill(*corners, facecolor=colour(place), linewidth=0)
    axes.text(left + bar + gap, top + 0.55, strip.note, color=TEXT, fontsize=9)
