from typing import Any

import pytest


@pytest.fixture
def project(project: Any) -> Any:
    """A corpus of two words in all three parts."""
    rows = []
    for i in range(24):
        name, split = f"{i}.wav", ("train", "train", "valid", "test")[i // 6]
        project.record(name, 0.4)
        rows.append({"id": str(i), "path": name, "text": ("yes", "no")[i % 2], "speaker": split, "split": split})
    project.manifest(rows)
    return project
