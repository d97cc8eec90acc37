"""Exported recognisers of real digits, trained here for seconds; tests on them skip where the recordings are not."""

from pathlib import Path

import pytest
from spoken_digits import CNN, Spoken, exported, need_recordings, strings

TEST_SEED = 99


@pytest.fixture(scope="session")
def digits_export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A centred convolutional one."""
    return exported(tmp_path_factory.mktemp("digits"), "cnn", CNN, epochs=16)


@pytest.fixture(scope="session")
def causal_export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A causal convolutional one, which streams."""
    return exported(tmp_path_factory.mktemp("causal"), "causal", {**CNN, "causal": True}, epochs=16)


@pytest.fixture(scope="session")
def heard() -> list[Spoken]:
    """Strings of recordings, most of which are in other strings of the training part."""
    need_recordings()
    return strings(40, (2, 6), TEST_SEED)
