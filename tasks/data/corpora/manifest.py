"""The user's own table of recordings: CSV, JSONL or Parquet."""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import PurePath

from tasks.data.corpora.raw import Place, RawUtterance, Split
from tasks.data.tables import Columns, Row, read_table
from tasks.data.tables.cells import format_cell
from tasks.params.corpora import ManifestCorpus

COLUMNS = Columns(
    texts=("path", "text", "id", "speaker", "split"),
    numbers=("start_s", "end_s", "snr_db"),
    needed=("path", "text"),
    aliases={"start": "start_s", "end": "end_s"},
    unsure=("start_s", "end_s"),  # preprocessing puts such a row aside
)
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

    Raises ValueError naming the row and the column where the table itself cannot be understood; a row
    whose recording is bad is for preprocessing to judge.
    """
    absent = f"no such manifest. corpus.file is relative to corpus.root ({corpus.root})"
    rows: Iterable[Row] = read_table(place.project / corpus.root / corpus.file, COLUMNS, absent)
    rows = _limited(rows, corpus) if corpus.limits else rows
    for number, row in enumerate(place.reporter.progress(rows, label="manifest"), start=1):
        path = row.text("path")
        yield RawUtterance(
            id=row.text("id") or f"{number:07d}-{PurePath(path or 'unnamed').stem}",
            path=path,
            text=row.text("text"),
            root=corpus.root.as_posix(),
            speaker=row.text("speaker"),
            split=_split(row),
            start_s=row.number("start_s"),
            end_s=row.number("end_s"),
            snr_db=row.number("snr_db"),
        )


def _limited(rows: Iterable[Row], corpus: ManifestCorpus) -> list[Row]:
    """At most corpus.limits rows of each split, the same ones whatever the order of the table, in its order."""
    kept: list[tuple[int, Row]] = []
    by_split: dict[str | None, list[tuple[int, Row]]] = {}
    for number, row in enumerate(rows):
        by_split.setdefault(_split(row), []).append((number, row))
    for split, members in by_split.items():
        drawn = sorted(members, key=lambda member: _drawn(member[1]))
        kept += drawn[: corpus.limits[split]] if split in corpus.limits else members
    return [row for _, row in sorted(kept, key=lambda member: member[0])]


def _drawn(row: Row) -> str:
    return sha256(f"{row.text('path')} {row.number('start_s')} None".encode()).hexdigest()


def _split(row: Row) -> Split | None:
    name = row.text("split")
    if name is None:
        return None
    if name.lower() not in _SPLITS:
        raise ValueError(
            f"{row.where}: split '{format_cell(name)[1:-1]}' is none of {', '.join(_SPLITS)}: write one of them, or "
            "leave it empty"
        )
    return _SPLITS[name.lower()]
