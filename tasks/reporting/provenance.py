"""What a result depends on beside data and models: versions, machine, seeds."""

import platform
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from tasks.params.pipeline import Params

PACKAGES = ("torch", "torchaudio", "onnx", "onnxruntime", "numpy", "scipy", "accelerate", "mlflow", "dvc", "prefect")


def versions() -> dict[str, str]:
    """Python's version and that of each package that has a part in the results."""
    return {"python": platform.python_version(), **{package: version(package) for package in PACKAGES}}


def seeds(params: Params) -> dict[str, int]:
    """Every seed of the parameters, by its dotted key."""
    return dict(_seeds(params.model_dump(mode="json"), ""))


def _seeds(value: Any, at: str) -> Iterator[tuple[str, int]]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from [(f"{at}{key}", part)] if key.endswith("seed") else _seeds(part, f"{at}{key}.")
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for i, part in enumerate(value):
            yield from _seeds(part, f"{at}{i}.")
