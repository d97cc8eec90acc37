"""One place that keeps every tool from calling home."""

import os

SETTINGS = {
    "DO_NOT_TRACK": "true",  # Prefect's client; MLflow needs this literal
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DVC_NO_ANALYTICS": "true",
    "HF_HUB_OFFLINE": "1",
}


def stay_offline() -> None:
    """Set what the tools read; what the user set himself stays."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
