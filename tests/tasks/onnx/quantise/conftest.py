"""Tiny exported files of every family and their smaller forms, each made once for all tests that only read it."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from small_forms import Files, exported, write


@pytest.fixture(scope="session")
def files() -> Iterator[Files]:
    with TemporaryDirectory(prefix="forms-") as root:

        @lru_cache(None)
        def make(encoder: str, form: str, frontend_included: bool) -> Path:
            folder = Path(root) / f"{encoder} {frontend_included}"
            if form == "float32":
                return exported(folder, encoder, frontend_included)[0]
            return write(make(encoder, "float32", frontend_included).parent, encoder, form, frontend_included)

        yield Files(make)
