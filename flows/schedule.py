"""Runs by the clock, from one process that stays; prefect.yaml is the way with a work pool."""

from datetime import timedelta
from pathlib import Path

from flows.pipeline import pipeline


def serve(root: Path, *, jobs: int, retries: int, cron: str | None = None, interval: timedelta | None = None) -> None:
    """Serve the flow until interrupted, by cron or at an interval.

    One run at a time, since this process starts no second one before the first has ended. A concurrency limit of the
    deployment would do the same, but its slots are lost with a server that is killed, and all later runs would wait
    for ever.
    """
    pipeline.serve(
        name="scheduled",
        cron=cron,
        interval=interval,
        parameters={"root": str(root.resolve()), "jobs": jobs, "retries": retries},
        limit=1,
    )
