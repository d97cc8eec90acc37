"""Numbers on the command line, each within what makes sense."""

import math
from typing import Annotated

import typer

MOST = 1_000
MOST_HOURS = 10_000.0
STAGE_TIMEOUT_HOURS = 6.0
MOST_TRIALS = 1_000_000
MOST_UTTERANCES = 1_000_000_000


def _no_nan(hours: float) -> float:
    """NaN is neither below the least nor above the most."""
    if math.isnan(hours):
        raise typer.BadParameter(f"nan is no number of hours: expected up to {MOST_HOURS:g}")
    return hours


Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, max=MOST, help="Stages at a time, where the graph allows.")]
Retries = Annotated[
    int, typer.Option(min=0, max=MOST, help="Further attempts for a stage that fails; training resumes.")
]
Timeout = Annotated[
    float, typer.Option(min=0.0, max=MOST_HOURS, callback=_no_nan, help="Hours after which a stage is ended.")
]
Port = Annotated[int, typer.Option(min=1, max=65_535, help="Port on the loopback address.")]
Trials = Annotated[
    int | None, typer.Option(min=1, max=MOST_TRIALS, help="Finished trials in all; else as the file says.")
]
