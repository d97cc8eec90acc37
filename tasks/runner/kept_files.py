"""Files that long work goes on from: a broken one is put aside with a line, and its part is done again."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from tasks.runner.atomic_io import put_aside, write_whole


def read_whole_json(file: Path) -> dict[str, Any] | None:
    """The mapping in a JSON file; None where there is none, or where it was broken and is put aside now."""
    if not file.is_file():
        return None
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        put_aside(file, str(error))
        return None
    if not isinstance(found, dict):
        put_aside(file, "it holds no mapping")
        return None
    return found


def read_whole_csv(file: Path, required: tuple[str, ...]) -> pd.DataFrame | None:
    """A table whose last line has an end and whose required columns have no gaps; None as `read_whole_json`."""
    if not file.is_file():
        return None
    try:
        if not file.read_bytes().endswith(b"\n"):
            raise ValueError("its last line is cut")
        table = pd.read_csv(file, dtype={"fold": str, "commit": str}, keep_default_na=False, na_values=[""])
        if broken := [column for column in required if column in table and table[column].isna().any()]:
            raise ValueError(f"rows have no {', '.join(broken)}")
    except ValueError as error:  # UnicodeDecodeError and pandas' ParserError are such
        put_aside(file, str(error))
        return None
    return table


def cut_to_whole_lines(file: Path) -> None:
    """Put a journal of JSON lines aside where a line of it is broken, and leave the lines before that in its place."""
    if not file.is_file():
        return
    content, kept = file.read_bytes(), 0
    for line in content.splitlines(keepends=True):
        try:
            json.loads(line)
        except ValueError:
            break
        if not line.endswith(b"\n"):
            break
        kept += len(line)
    if kept < len(content):
        broken = put_aside(file, f"it is whole up to byte {kept} of {len(content)}, which is kept")
        write_whole(file, broken.read_bytes()[:kept])
