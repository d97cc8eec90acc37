"""docs/refusals.md, whose rows tests do one by one."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs" / "refusals.md"


def rows_of(title: str) -> dict[str, tuple[str, ...]]:
    """First cell to the others, of the table below a heading that begins so."""
    section = DOCS.read_text(encoding="utf-8").split(f"## {title}")[1].split("\n## ")[0]
    rows = [re.split(r" *\| *", line.strip("| ")) for line in section.splitlines() if line.startswith("| ")]
    return {first: tuple(others) for first, *others in rows[1:]}
