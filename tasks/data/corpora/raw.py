"""The table of raw utterances: where each lies, and what is said in it."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.runner.reporter import Reporter

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = ("train", "valid", "test")
ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class Part:
    """One recording of several that make an utterance; `gap_s` is the pause before it."""

    path: str
    gap_s: float


@dataclass(frozen=True)
class Fault:
    """Why the corpus itself has no audio, or no one transcript, for a row: preprocessing puts it aside with that.

    reason: as in quarantine.csv. detail: the table, the line and what was found.
    """

    reason: Literal["missing_file", "unreadable", "bad_segment", "duplicate_id"]
    detail: str


@dataclass(frozen=True)
class RawUtterance:
    """One row. `path` is relative to `root`, absolute, or an address (`s3://…`); with `parts` that of the first part.

    `root` is relative to the project's folder, or absolute. NaN in `start_s` or `end_s` stands for what
    was given but is no number. `part` names the part of the corpus that it is of; no text means unlabelled audio.
    """

    id: str
    path: str | None
    text: str | None
    root: str
    speaker: str | None = None
    split: Split | None = None
    start_s: float | None = None
    end_s: float | None = None
    snr_db: float | None = None
    parts: tuple[Part, ...] | None = None
    part: str = ""
    fault: Fault | None = None

    @property
    def is_labelled(self) -> bool:
        return self.text is not None and self.text.strip() != ""


@dataclass(frozen=True)
class Place:
    """Where a corpus is made: `project` is what relative paths start from, `out` the folder to write audio to.

    lies_in: where `out` will lie in the project once the stage is done.
    """

    project: Path
    out: Path
    reporter: Reporter
    lies_in: str = "data/raw"


SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("path", pa.string()),
        pa.field("text", pa.string()),
        pa.field("speaker", pa.string()),
        pa.field("split", pa.string()),
        pa.field("start_s", pa.float64()),
        pa.field("end_s", pa.float64()),
        pa.field("root", pa.string(), nullable=False),
        pa.field("snr_db", pa.float64()),
        pa.field("parts", pa.list_(pa.struct([("path", pa.string()), ("gap_s", pa.float64())]))),
        pa.field("part", pa.string(), nullable=False),
        pa.field("fault", pa.struct([("reason", pa.string()), ("detail", pa.string())])),
    ]
)


def write_raw(file: Path, rows: Iterable[RawUtterance]) -> int:
    """Write rows as they come; returns their number."""
    rows, count = iter(rows), 0
    with pq.ParquetWriter(file, SCHEMA) as writer:
        while batch := [asdict(row) for row in islice(rows, ROWS_AT_ONCE)]:
            writer.write_table(pa.Table.from_pylist(batch, schema=SCHEMA))
            count += len(batch)
    return count


def read_raw(file: Path) -> Iterator[RawUtterance]:
    """Rows in their order, a few at a time."""
    with pq.ParquetFile(file) as table:
        for batch in table.iter_batches(ROWS_AT_ONCE):
            yield from (_row(fields) for fields in batch.to_pylist())


def count_raw(file: Path) -> int:
    """Number of rows, from the file's footer."""
    return int(pq.read_metadata(file).num_rows)


def _row(fields: dict[str, Any]) -> RawUtterance:
    parts, fault = fields.pop("parts"), fields.pop("fault")
    return RawUtterance(
        **fields,
        parts=None if parts is None else tuple(Part(**part) for part in parts),
        fault=None if fault is None else Fault(**fault),
    )
