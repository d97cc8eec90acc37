"""The user's own table of recordings: CSV, JSONL or Parquet."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path, PurePath
from typing import Any

import pyarrow.parquet as pq

from tasks.corpora.raw import Place, RawUtterance, Split
from tasks.params.corpora import ManifestCorpus

_ALIASES = {"start": "start_s", "end": "end_s"}
_KNOWN = ("path", "text", "id", "speaker", "split", "start_s", "end_s", "snr_db")
_SPLITS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "dev": "valid",
    "test": "test",
    "testing": "test",
}


def manifest_rows(corpus: ManifestCorpus, place: Place) -> Iterator[RawUtterance]:
    """Rows of the table, in its order. Columns that are not known are left alone.

    Raises ValueError naming the row or the columns where the table itself cannot be understood; a row
    whose recording is bad is for preprocessing to judge.
    """
    file = place.project / corpus.root / corpus.file
    if not file.is_file():
        raise ValueError(f"{file}: no such manifest. corpus.file is relative to corpus.root ({corpus.root})")
    rows = _limited(_read(file), corpus) if corpus.limits else _read(file)
    for number, fields in enumerate(place.watch.progress(rows, label="manifest"), start=1):
        given = {_ALIASES.get(key, key): value for key, value in fields.items()}
        missing = [name for name in ("path", "text") if name not in given]
        if missing:
            raise ValueError(
                f"{file}, row {number}: no column {' and no column '.join(missing)}; found {', '.join(given)}. "
                f"Expected path and text, and optionally {', '.join(_KNOWN[2:])} (or start, end)"
            )
        path = _text(given["path"])
        yield RawUtterance(
            id=_text(given.get("id")) or f"{number:07d}-{PurePath(path or 'unnamed').stem}",
            path=path,
            text=_text(given["text"]),
            root=corpus.root.as_posix(),
            speaker=_text(given.get("speaker")),
            split=_split(given.get("split"), f"{file}, row {number}"),
            start_s=_number(given.get("start_s")),
            end_s=_number(given.get("end_s")),
            snr_db=_number(given.get("snr_db")),
        )


def _limited(rows: Iterable[Mapping[str, Any]], corpus: ManifestCorpus) -> list[Mapping[str, Any]]:
    """At most corpus.limits rows of each split, the same ones whatever the order of the table, in its order."""
    kept: list[tuple[int, Mapping[str, Any]]] = []
    by_split: dict[str | None, list[tuple[int, Mapping[str, Any]]]] = {}
    for number, row in enumerate(rows):
        by_split.setdefault(_split(row.get("split"), f"row {number + 1}"), []).append((number, row))
    for split, members in by_split.items():
        drawn = sorted(members, key=lambda member: _drawn(member[1]))
        kept += drawn[: corpus.limits[split]] if split in corpus.limits else members
    return [row for _, row in sorted(kept, key=lambda member: member[0])]


def _drawn(row: Mapping[str, Any]) -> str:
    return sha256(f"{row.get('path')} {row.get('start_s')} {row.get('start')}".encode()).hexdigest()


def _read(file: Path) -> Iterator[Mapping[str, Any]]:
    readers = {".csv": _read_csv, ".tsv": _read_csv, ".jsonl": _read_jsonl, ".parquet": _read_parquet}
    if file.suffix.lower() not in readers:
        raise ValueError(f"{file}: a manifest ends in {', '.join(readers)}, not in '{file.suffix}'")
    try:
        yield from readers[file.suffix.lower()](file)
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not UTF-8 (byte {error.start}): save it as UTF-8") from None


def _read_csv(file: Path) -> Iterator[Mapping[str, Any]]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        for row in csv.DictReader(lines, delimiter="\t" if file.suffix.lower() == ".tsv" else ","):
            if None in row:
                raise ValueError(f"{file}: a row has more cells than the header: {row[None]}. Quote cells with commas")
            yield row


def _read_jsonl(file: Path) -> Iterator[Mapping[str, Any]]:
    with file.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{file}, line {number} is not JSON: {error.msg}") from None
            if not isinstance(row, dict):
                raise ValueError(f'{file}, line {number}: expected an object such as {{"path": …, "text": …}}')
            # JSON leaves out what is not known; a table has an empty cell there
            yield {"path": None, "text": None, **row} if {"path", "text"} & row.keys() else row


def _read_parquet(file: Path) -> Iterator[Mapping[str, Any]]:
    with pq.ParquetFile(file) as table:
        for batch in table.iter_batches(1024):
            yield from batch.to_pylist()


def _text(value: Any) -> str | None:
    return None if value is None or str(value).strip() == "" else str(value).strip()


def _number(value: Any) -> float | None:
    if _text(value) is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _split(value: Any, where: str) -> Split | None:
    name = _text(value)
    if name is None:
        return None
    if name.lower() not in _SPLITS:
        raise ValueError(f"{where}: split '{name}' is none of {', '.join(_SPLITS)} (or empty)")
    return _SPLITS[name.lower()]
