"""What Prefect reads from the environment, set before it is imported."""

import os

from tasks.runner.telemetry import stay_offline


def prepare_environment(quiet: bool = True) -> None:
    """Offline, with time for a slow start; `quiet` leaves the terminal to our own display."""
    stay_offline()
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
    os.environ.setdefault("PREFECT_CLI_PROMPT", "false")
    if quiet:
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
        os.environ.setdefault("PREFECT_SERVER_LOGGING_LEVEL", "CRITICAL")
