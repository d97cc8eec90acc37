"""Metrics of every evaluated model."""

import json
from pathlib import Path
from typing import Any

from tasks.paths import Paths


def read_metrics(root: Path) -> dict[str, dict[str, Any]]:
    """Model to what its evaluation/NAME/metrics.json holds."""
    files = sorted(Paths(root).evaluation("teacher").parent.glob("*/metrics.json"))
    return {file.parent.name: json.loads(file.read_text(encoding="utf-8")) for file in files}
