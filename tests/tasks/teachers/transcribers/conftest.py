"""Clips of made-up audio, and the project's own folder."""

from pathlib import Path

import numpy as np
import pytest
from clips import make_clip

from tasks.teachers.transcribers import Clip

REPO = Path(__file__).parents[4]


@pytest.fixture
def clips() -> list[Clip]:
    rng = np.random.default_rng(3)
    return [make_clip(name, rng.normal(0, 0.1, 8_000 + 400 * i)) for i, name in enumerate("abc")]


@pytest.fixture
def shared() -> Path:
    folder = REPO.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"no real recordings and models at {folder}")
    return folder
