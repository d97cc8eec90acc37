"""The environment of Prefect, set before it is imported, and that of DVC."""

import os
import sys
from pathlib import Path

from tasks.runner.telemetry import stay_offline


def prepare_environment(quiet: bool = True) -> None:
    """Offline, with time for a slow start; `quiet` leaves the terminal to our own display."""
    stay_offline()
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
    os.environ.setdefault("PREFECT_CLI_PROMPT", "false")
    if quiet:
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
        os.environ.setdefault("PREFECT_SERVER_LOGGING_LEVEL", "CRITICAL")


def our_python_first() -> dict[str, str]:
    """Our environment, in which `python`, as dvc.yaml says it, is the Python that runs us."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path}
