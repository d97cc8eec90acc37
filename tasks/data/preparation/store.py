"""Prepared utterances on disk: samples in one flat file, and the table of where each lies.

Two passes: `Draft` takes what passed on its own; `finish` drops what does not fit the others, and closes
the gaps. Both go through files, so memory does not grow with the corpus.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.data.preparation.prepare import Prepared
from tasks.data.preparation.quarantine import Quarantined, Reason, RejectedError
from tasks.data.utterance import COLUMNS, Utterance

ROWS_AT_ONCE = 4096
_BYTES = 2  # a sample

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("text", pa.string()),
        pa.field("speaker", pa.string()),
        pa.field("split", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("num_samples", pa.int64(), nullable=False),
        pa.field("duration_s", pa.float64(), nullable=False),
        pa.field("audio_hash", pa.string(), nullable=False),
        pa.field("snr_db", pa.float64()),
        pa.field("source", pa.string(), nullable=False),
        pa.field("part", pa.string(), nullable=False),
    ]
)


class Draft:
    """Appends utterances to `folder`/audio.i16 and draft.parquet, and refuses what was there before."""

    def __init__(self, folder: Path, sample_rate_hz: int) -> None:
        self._audio: BinaryIO = (folder / "audio.i16").open("wb")
        self._table = _Table(folder / "draft.parquet", sample_rate_hz)
        self._seen = sqlite3.connect(folder / "seen.sqlite", isolation_level=None)
        self._seen.execute("PRAGMA journal_mode=OFF")
        self._seen.execute("PRAGMA synchronous=OFF")
        self._seen.execute("CREATE TABLE seen (key TEXT PRIMARY KEY, id TEXT) WITHOUT ROWID")
        self._seen.execute("BEGIN")
        self._offset = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._audio.close()
        self._table.close()
        self._seen.close()

    def add(self, prepared: Prepared) -> Quarantined | None:
        """Append it; or say that its id or its samples are there already."""
        utterance = prepared.utterance
        recorded = f"audio:{prepared.recorded}"
        for key, reason in ((f"id:{utterance.id}", Reason.DUPLICATE_ID), (recorded, Reason.DUPLICATE)):
            if self._seen.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (key, utterance.id)).rowcount == 0:
                first = self._seen.execute("SELECT id FROM seen WHERE key = ?", (key,)).fetchone()[0]
                same = "id" if reason is Reason.DUPLICATE_ID else "samples"
                return _aside(utterance, reason, f"the same {same} as {first}")
        self._audio.write(prepared.samples_N.tobytes())
        self._table.add(replace(utterance, offset=self._offset))
        self._offset += utterance.num_samples
        return None


def _aside(utterance: Utterance, reason: Reason, detail: str) -> Quarantined:
    return Quarantined(utterance.id, utterance.source, reason, detail, utterance.text or None)


def finish(
    folder: Path, sample_rate_hz: int, check: Callable[[Utterance], None], refuse: Callable[[Quarantined], None]
) -> Iterator[Utterance]:
    """Keep what passes `check`, close the gaps in audio.i16, write utterances.parquet; yields what is kept."""
    offset = 0
    with (
        closing(_Table(folder / "utterances.parquet", sample_rate_hz)) as table,
        (folder / "audio.i16").open("r+b") as audio,
    ):
        for row in read_stored(folder / "draft.parquet"):
            try:
                check(row)
            except RejectedError as error:
                refuse(_aside(row, error.reason, error.detail))
                continue
            kept = replace(row, offset=offset)
            if offset != row.offset:
                audio.seek(row.offset * _BYTES)
                samples = audio.read(row.num_samples * _BYTES)
                audio.seek(offset * _BYTES)
                audio.write(samples)
            table.add(kept)
            offset += row.num_samples
            yield kept
        audio.truncate(offset * _BYTES)
    for name in ("draft.parquet", "seen.sqlite"):
        (folder / name).unlink()


def read_stored(file: Path) -> Iterator[Utterance]:
    """Rows of a table of prepared utterances, a few at a time."""
    with pq.ParquetFile(file) as table:
        for batch in table.iter_batches(ROWS_AT_ONCE, columns=list(COLUMNS)):
            yield from (Utterance(**{**cells, "text": cells["text"] or ""}) for cells in batch.to_pylist())


class _Table:
    """Writes rows in groups of fixed size, so that the bytes do not depend on when they came."""

    def __init__(self, file: Path, sample_rate_hz: int) -> None:
        self._writer = pq.ParquetWriter(file, SCHEMA)
        self._sample_rate_hz = sample_rate_hz
        self._rows: list[dict[str, object]] = []

    def add(self, row: Utterance) -> None:
        cells = {name: getattr(row, name) for name in COLUMNS}
        derived = {"text": row.text or None, "duration_s": row.num_samples / self._sample_rate_hz}
        self._rows.append({**cells, **derived})
        if len(self._rows) == ROWS_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=SCHEMA))
            self._rows = []

    def close(self) -> None:
        self._flush()
        self._writer.close()
