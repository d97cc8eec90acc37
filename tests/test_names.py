"""What a module says that it hands out is there: `import *`, editors and documentation go by it."""

from importlib import import_module
from pathlib import Path

import pytest

REPO = Path(__file__).parents[1]
FILES = [file for package in ("kd", "tasks", "flows") for file in (REPO / package).rglob("*.py")]
HANDING_OUT = [file.relative_to(REPO) for file in FILES if "__all__" in file.read_text(encoding="utf-8")]


@pytest.mark.parametrize("file", HANDING_OUT, ids=str)
def test_every_name_in_all_is_there(file: Path) -> None:
    parts = file.with_suffix("").parts
    module = import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    assert not [name for name in module.__all__ if not hasattr(module, name)]
