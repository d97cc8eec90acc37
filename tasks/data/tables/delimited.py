"""Rows of CSV and TSV files.

CSV is quoted as RFC 4180 says: a cell that begins with `"` ends with `"`, and doubles it inside. A cell that holds
both a line break and a delimiter is refused: that is what a lone `"` at a cell's beginning makes of the rows that
follow it, and a table of at least two columns cannot lose a row without it. In TSV a `"` is a character as any other,
as Common Voice and Kaldi write it, and a line is a row.
"""

import csv
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TextIO

from tasks.data.tables.cells import format_cell
from tasks.data.tables.encoding import BOM, bad_byte, refuse_other_encodings

Line = tuple[int, str, list[str]]


def read_delimited(file: Path, *, tabs: bool) -> Iterator[Line]:
    """(number, place, cells): number 0 is the header; empty lines are left out. tabs: TSV, else CSV.

    Raises ValueError naming the row, its lines and the column where a row has more or fewer cells than the header,
    a quote swallows rows, or bytes are not UTF-8.
    """
    refuse_other_encodings(file)
    with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as source:
        lines = _tsv(source) if tabs else _csv(source, file)
        header: list[str] = []
        numbers = count()
        for place, cells in lines:
            if not any(cell.strip() for cell in cells) and len(cells) < 2:
                continue
            number = next(numbers)
            where = f"{file}, row {number} ({place})" if number else f"{file}, the header ({place})"
            if number == 0:
                header = cells = [cell.strip().strip(BOM).strip() for cell in cells]
            _check(cells, header, where, "\t" if tabs else ",")
            yield number, where, cells


def _tsv(source: TextIO) -> Iterator[tuple[str, list[str]]]:
    for number, line in enumerate(source, start=1):
        yield f"line {number}", line.rstrip("\r\n").split("\t")


def _csv(source: TextIO, file: Path) -> Iterator[tuple[str, list[str]]]:
    csv.field_size_limit(sys.maxsize)
    reader = csv.reader(source, strict=True)
    first = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise ValueError(
                f"{file}, {_lines(first, reader.line_num)}: {error}. A cell that begins with \" must end with \", and "
                "double each \" inside; or save the table as .tsv, where \" is a character as any other"
            ) from None  # fmt: skip
        yield _lines(first, reader.line_num), cells
        first = reader.line_num + 1


def _lines(first: int, last: int) -> str:
    return f"line {first}" if last <= first else f"lines {first} to {last}"


def _check(cells: list[str], header: list[str], where: str, delimiter: str) -> None:
    names = [*header, *("" for _ in range(len(cells) - len(header)))]
    for name, cell in zip(names, cells, strict=False):
        if (byte := bad_byte(cell)) is not None:
            raise ValueError(f"{where}, column {_named(name)}: byte 0x{byte:02x} is not UTF-8: save the file as UTF-8")
        if delimiter in cell and ("\n" in cell or "\r" in cell):
            raise ValueError(
                f"{where}, column {_named(name)}: the cell holds a line break and a '{delimiter}', so its opening \" "
                f'may have swallowed rows: {format_cell(cell)}. Double a " that is meant, and write a cell on one line'
            )
    if len(cells) > len(header):
        raise ValueError(
            f"{where} has more cells than the header: {len(cells)} instead of {len(header)}, "
            f"{format_cell(cells[len(header)])} first. Quote cells that hold a delimiter"
        )
    if len(cells) < len(header):
        raise ValueError(
            f"{where} has fewer cells than the header: {len(cells)} instead of {len(header)}; "
            f"{header[len(cells)]} is missing. Write an empty cell for what is not known"
        )


def _named(name: str) -> str:
    return ascii(name).strip("'") if bad_byte(name) is not None else name or "(without a name)"
