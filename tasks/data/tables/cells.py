"""What one cell of a table says: a string as it was written, a finite number, or nothing."""

import math
from typing import Any

from tasks.data.tables.encoding import bad_byte

Cell = str | float | None
_SHOWN = 60  # characters of what was found


class Written(str):
    """A number of a JSON file as it is written there: 7 stays 7, 0.10 stays 0.10."""

    __slots__ = ()


def text_cell(value: Any, where: str, column: str) -> str | None:
    """The string without spaces at its ends. Missing: None, NaN, and an empty cell; never the words for them."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise ValueError(
            f"{where}, column {column}: found {format_cell(value)}, expected text: save the column as text"
        )
    if (byte := bad_byte(value)) is not None:
        raise ValueError(f"{where}, column {column}: byte 0x{byte:02x} is not UTF-8: save the file as UTF-8")
    if any("\ud800" <= c <= "\udfff" for c in value):
        raise ValueError(
            f"{where}, column {column}: half of a surrogate pair in {format_cell(value)}: write the character"
        )
    return str(value).strip() or None


def number_cell(value: Any, where: str, column: str, *, unsure: bool = False) -> float | None:
    """A finite number; None where it is missing or NaN. Raises ValueError for others, or gives NaN where `unsure`."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    text = value.strip() if isinstance(value, str) else value
    if text is None or text == "" or (isinstance(text, str) and text.lower() == "nan"):
        return None
    if isinstance(text, float) and math.isnan(text):
        return None
    try:
        number = math.nan if isinstance(text, bool) or (isinstance(text, str) and "_" in text) else float(text)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if math.isfinite(number):
        return number
    if unsure:
        return math.nan
    raise ValueError(
        f"{where}: {column} {format_cell(value)} is no number: write one such as 1.25, or leave the cell empty"
    )


def format_cell(value: Any) -> str:
    """What was found, cut where it is long."""
    text = repr(str(value)) if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
