"""The front of a search as a picture, drawn anew after each trial."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from tasks.drawing import save
from tasks.experiments.tune.results import ERROR
from tasks.experiments.tune.settings import Search
from tasks.metric_names import ERROR_WORDS
from tasks.runner.atomic_io import whole_file

INCHES, DOTS_PER_INCH = (7.0, 4.5), 100
LABELS = {
    "params": "parameters",
    "size_bytes": "size of the float32 file in bytes",
    "macs_per_audio_second": "multiply-accumulates for a second of audio",
    "latency_ms": "median latency in ms",
}


def draw_front(search: Search, table: pd.DataFrame, folder: Path) -> list[Path]:
    """Write front.svg and front.png: every finished trial, the front, the teacher's error and the goal."""
    figure = Figure(figsize=INCHES, layout="constrained")
    axes = figure.subplots()
    done = table[table["state"] == "complete"]
    front = done[done["on_front"]].sort_values(search.measure)
    axes.plot(done[search.measure], 100 * done[ERROR], "o", color="0.6", label="trials")
    axes.plot(front[search.measure], 100 * front[ERROR], "o-", drawstyle="steps-post", label="front")
    if not done.empty:
        axes.axhline(100 * done["teacher_valid_error"].iloc[-1], color="C2", label="teacher")
        if search.goal is not None:
            axes.axhline(100 * done["limit"].iloc[-1], color="C3", linestyle="--", label="goal")
    if search.at_most is not None:
        axes.axvline(search.at_most, color="C3", linestyle=":", label="at most")
    what = f"validation {ERROR_WORDS[search.error_kind]} in %"
    axes.set(xscale="log", xlabel=LABELS[search.measure], ylabel=what, ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()
    files = [folder / "front.svg", folder / "front.png"]
    for file in files:
        kind = file.suffix[1:]
        with whole_file(file) as beside:
            save(figure, beside, format=kind, dpi=DOTS_PER_INCH, metadata={"Date": None} if kind == "svg" else None)
    return files
