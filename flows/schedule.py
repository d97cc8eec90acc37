"""Runs by the clock, from one process that stays; prefect.yaml is the way with a work pool."""

from datetime import timedelta
from pathlib import Path

from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy

from flows.pipeline import pipeline


def serve(root: Path, *, jobs: int, retries: int, cron: str | None = None, interval: timedelta | None = None) -> None:
    """Serve the flow until interrupted, by cron or at an interval.

    One run at a time: a further one waits (with CANCEL_NEW, a run that hangs while it is being
    cancelled would silently cancel all that follow).
    """
    pipeline.serve(
        name="scheduled",
        cron=cron,
        interval=interval,
        parameters={"root": str(root.resolve()), "jobs": jobs, "retries": retries},
        global_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE),
        limit=1,
    )
