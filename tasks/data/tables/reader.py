"""Any table as rows of typed cells, as many as the file has; CSV, TSV, JSONL and Parquet say the same."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Never

import pyarrow as pa
import pyarrow.parquet as pq

from kd.runtime.terminal import one_line
from tasks.data.tables.cells import Cell, Written, format_cell, number_cell, text_cell
from tasks.data.tables.columns import Columns
from tasks.data.tables.delimited import read_delimited
from tasks.data.tables.encoding import BOM, bad_byte, refuse_other_encodings
from tasks.params.names import TABLES

_ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class Row:
    """where: file and row (and lines), for messages. cells: all known columns that the row has."""

    where: str
    cells: dict[str, Cell]

    def text(self, column: str) -> str | None:
        value = self.cells.get(column)
        assert value is None or isinstance(value, str)
        return value

    def number(self, column: str) -> float | None:
        value = self.cells.get(column)
        assert value is None or isinstance(value, float)
        return value


def read_table(file: Path, columns: Columns, absent: str = "no such table", form: str | None = None) -> Iterator[Row]:
    """Rows in their order. Raises ValueError, in one line with file, row and column, where the table is not clear.

    absent: what to say, and the remedy, where there is no such file. form: one of TABLES, where the file's name
    does not end in it.
    """
    try:
        if not file.is_file():
            raise ValueError(f"{file}: {absent}")
        yield from _rows(file, columns, form or file.suffix.lower())
    except ValueError as error:
        if type(error) is not ValueError:
            raise
        raise ValueError(one_line(str(error))) from None


def rows_by_utterance(
    file: Path, columns: Columns, keys: Sequence[str], absent: str = "no such table"
) -> tuple[str, dict[str, list[Row]]]:
    """The first of `keys` that the table has as a column, and the rows of each utterance that it names, in their order.

    Raises ValueError as `read_table` does, and for a row that names none.
    """
    key, rows = "", dict[str, list[Row]]()
    for row in read_table(file, columns, absent):
        key = key or next(name for name in keys if name in row.cells)
        if (utterance := row.text(key)) is None:
            raise ValueError(f"{row.where}: {key} is empty: say which utterance the row is of")
        rows.setdefault(utterance, []).append(row)
    return key, rows


def _rows(file: Path, columns: Columns, suffix: str) -> Iterator[Row]:
    readers = {".csv": _csv, ".tsv": _tsv, ".jsonl": _jsonl, ".parquet": _parquet}
    if suffix not in readers:
        raise ValueError(f"{file}: a table ends in {', '.join(TABLES)}, not in '{file.suffix}'")
    try:
        yield from readers[suffix](file, columns)
    except OSError as error:
        raise ValueError(f"{file} cannot be read as {suffix}: {error.strerror or error}") from None


def _row(where: str, found: dict[str, int], values: Sequence[Any], columns: Columns) -> Row:
    cells: dict[str, Cell] = {}
    for name, place in found.items():
        if name in columns.numbers:
            cells[name] = number_cell(values[place], where, name, unsure=name in columns.unsure)
        else:
            cells[name] = text_cell(values[place], where, name)
    return Row(where, cells)


def _require(columns: Columns, names: Sequence[str], found: dict[str, int], where: str) -> None:
    if missing := columns.missing(found):
        optional = [name for name in columns.known if name not in (*columns.needed, *columns.either)]
        expected = " and ".join([*([" or ".join(columns.either)] if columns.either else []), *columns.needed])
        others = f", and optionally {', '.join(optional)}" if optional else ""
        aliases = f" (or {', '.join(columns.aliases)})" if columns.aliases else ""
        raise ValueError(
            f"{where}: no column {' and no column '.join(missing)}; found {', '.join(map(str, names))[:200]}. "
            f"Expected {expected}{others}{aliases}"
        )


def _csv(file: Path, columns: Columns) -> Iterator[Row]:
    return _delimited(file, columns, tabs=False)


def _tsv(file: Path, columns: Columns) -> Iterator[Row]:
    return _delimited(file, columns, tabs=True)


def _delimited(file: Path, columns: Columns, *, tabs: bool) -> Iterator[Row]:
    found: dict[str, int] = {}
    for number, where, cells in read_delimited(file, tabs=tabs):
        if number == 0:
            found = columns.match([cell for cell in cells if cell], where)
            found = {name: cells.index(_written(cells, name, columns)) for name in found}
            _require(columns, cells, found, where)
        else:
            yield _row(where, found, cells, columns)


def _written(header: Sequence[str], name: str, columns: Columns) -> str:
    """The name in the header that stands for one of our columns."""
    return next(cell for cell in header if columns.aliases.get(cell, cell) == name)


def _jsonl(file: Path, columns: Columns) -> Iterator[Row]:
    refuse_other_encodings(file)
    matched: dict[tuple[str, ...], dict[str, int]] = {}
    number = 0
    with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="\n") as lines:
        for place, line in enumerate(lines, start=1):
            if not line.strip().strip(BOM):
                continue
            number += 1
            where = f"{file}, row {number} (line {place})" if number != place else f"{file}, row {number}"
            pairs = _object(line.strip().strip(BOM), where, f"{file}, line {place}")
            names = tuple(name for name, _ in pairs)
            if names not in matched:
                matched[names] = columns.match(names, where)
                lacks_one = columns.either and not set(columns.either) & matched[names].keys()
                if lacks_one or not any(name in matched[names] for name in columns.needed):
                    _require(columns, names, matched[names], where)
            row = _row(where, matched[names], [value for _, value in pairs], columns)
            # JSON leaves out what is not known; a table has an empty cell there
            yield Row(where, dict.fromkeys(columns.needed) | row.cells)


def _object(line: str, where: str, place: str) -> list[tuple[str, Any]]:
    """Keys and values in their order; numbers as they are written, NaN as missing."""
    if (byte := bad_byte(line)) is not None:
        raise ValueError(f"{where}{_column_of(line)}: byte 0x{byte:02x} is not UTF-8: save the file as UTF-8")
    try:
        found = json.loads(
            line, object_pairs_hook=_Pairs, parse_int=Written, parse_float=Written,
            parse_constant=lambda name: None if name == "NaN" else Written(name),
        )  # fmt: skip
    except json.JSONDecodeError as error:
        raise ValueError(f"{place} is not JSON: {error.msg}. Write one object a line") from None
    except RecursionError:
        raise ValueError(
            f"{place} is not JSON that can be read: it is nested too deeply. Write each value as text or a number"
        ) from None
    if not isinstance(found, _Pairs):
        raise ValueError(f'{place}: expected an object such as {{"path": …, "text": …}}, found {format_cell(found)}')
    return found


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with all of its keys, doubled ones too."""


def _column_of(line: str) -> str:
    """`, column NAME` where a line with undecodable bytes is JSON otherwise."""
    try:
        pairs = json.loads(line, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return ""
    names = [k for k, v in pairs if bad_byte(f"{k} {v}") is not None] if isinstance(pairs, _Pairs) else []
    return f", column {ascii(names[0])[1:-1]}" if names else ""


def _parquet(file: Path, columns: Columns) -> Iterator[Row]:
    try:
        with pq.ParquetFile(file) as table:
            names = table.schema_arrow.names
            where = f"{file}, the header"
            found = columns.match(names, where)
            _require(columns, names, found, where)
            number = 0
            for batch in table.iter_batches(_ROWS_AT_ONCE, columns=[names[place] for place in found.values()]):
                values = [batch.column(names[place]) for place in found.values()]
                for i in range(batch.num_rows):
                    number += 1
                    row = f"{file}, row {number}"
                    cells = [_parquet_cell(v, i, row, name) for v, name in zip(values, found, strict=True)]
                    yield _row(row, {name: place for place, name in enumerate(found)}, cells, columns)
    except (pa.ArrowException, OSError) as error:
        _unreadable(file, error)


def _parquet_cell(values: pa.Array, index: int, where: str, column: str) -> Any:
    try:
        return values[index].as_py()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{where}, column {column}: byte 0x{error.object[error.start]:02x} is not UTF-8: save the table as UTF-8"
        ) from None


def _unreadable(file: Path, error: Exception) -> Never:
    why = " ".join(str(error).split())[:200]
    raise ValueError(f"{file} cannot be read as .parquet: {why}. Write it again") from None
