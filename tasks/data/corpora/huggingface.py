"""Data sets of Hugging Face as Parquet, whose column of audio is a struct of `bytes` and `path`.

pyarrow reads them, a few rows at a time, from this machine or through fsspec from where they lie.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.data.corpora.extracted import Extracted
from tasks.data.corpora.raw import Fault, Place, RawUtterance
from tasks.data.corpora.sources import Source, opened, sources
from tasks.data.remote import scheme_of
from tasks.data.tables.cells import text_cell
from tasks.params.corpus_formats import HuggingFaceCorpus

TEXTS = ("sentence", "text", "transcription", "transcript")
SPEAKERS = ("speaker_id", "speaker", "client_id")
_ROWS_AT_ONCE = 16  # with their audio
_BUFFER = 1 << 20


def huggingface_rows(corpus: HuggingFaceCorpus, place: Place) -> Iterator[RawUtterance]:
    """Rows of all files; recordings are written to data/raw/ as they are. Classes are called by their names.

    Raises ValueError naming the file where it cannot be read, or has no column of audio.
    """
    found = sources(_addresses(corpus), corpus, place)
    for number, source in enumerate(found):
        extracted = Extracted(place, f"{source.split or 'all'}-{number:05d}")
        rows = _rows(corpus, source, extracted)
        yield from place.reporter.progress(rows, label=PurePath(source.name).name)


def has_audio(file: Path) -> bool:
    """Whether a Parquet file has a column with the bytes of recordings, as datasets writes it."""
    try:
        return any(pa.types.is_struct(field.type) and _holds_bytes(field.type) for field in pq.read_schema(file))
    except (pa.ArrowException, OSError):
        return False


def top_of(hub: str, revision: str) -> str:
    """The address of a data set on the hub."""
    return f"hf://datasets/{hub}@{quote(revision, safe='')}"


def _addresses(corpus: HuggingFaceCorpus) -> dict[Any, str]:
    if corpus.hub is None:
        return dict(corpus.files)
    top = top_of(corpus.hub, corpus.revision)
    return {part: name if scheme_of(name) else f"{top}/{name}" for part, name in corpus.files.items()}


@dataclass(frozen=True)
class _Columns:
    """Names of columns; classes: what the numbers in the column of texts stand for."""

    audio: str
    text: str | None
    speaker: str | None
    classes: Sequence[str] | None

    @property
    def read(self) -> list[str]:
        return [name for name in (self.audio, self.text, self.speaker) if name is not None]


def _rows(corpus: HuggingFaceCorpus, source: Source, extracted: Extracted) -> Iterator[RawUtterance]:
    with _opened(corpus, source) as table:
        columns = _columns(corpus, source, table.schema_arrow)
        number = 0
        for batch in _batches(source, table, columns):
            for i in range(batch.num_rows):
                number += 1
                yield _utterance(corpus, source, extracted, columns, number, batch, i)


def _batches(source: Source, table: pq.ParquetFile, columns: _Columns) -> Iterator[pa.RecordBatch]:
    """A few rows at a time, of one row group after another: asked for all of them, pyarrow reads ahead."""
    try:
        for group in range(table.num_row_groups):
            yield from table.iter_batches(_ROWS_AT_ONCE, [group], columns.read, use_threads=False)
    except _of_pyarrow(source) as error:
        raise _unreadable(source, error) from None


def _of_pyarrow(source: Source) -> tuple[type[Exception], ...]:
    """What pyarrow raises of damaged files; an OSError of what lies elsewhere is of its store."""
    return (pa.ArrowException,) if source.is_remote else (pa.ArrowException, OSError)


def _unreadable(source: Source, error: Exception) -> ValueError:
    why = " ".join(str(error).split())[:200]
    return ValueError(f"{source.name} cannot be read as Parquet: {why}. Write or fetch it again")


@contextmanager
def _opened(corpus: HuggingFaceCorpus, source: Source) -> Iterator[pq.ParquetFile]:
    with opened(source, corpus) as file:
        try:
            table = pq.ParquetFile(file, buffer_size=_BUFFER)
        except _of_pyarrow(source) as error:
            raise _unreadable(source, error) from None
        with table:
            yield table


def _columns(corpus: HuggingFaceCorpus, source: Source, schema: pa.Schema) -> _Columns:
    for key in ("audio", "text", "speaker"):
        if (name := getattr(corpus, key)) is not None and name not in schema.names:
            raise ValueError(f"{source.name}: no column {name}, which corpus.{key} names; found {_listed(schema)}")
    audio = corpus.audio or next((field.name for field in schema if _holds_bytes(field.type)), None)
    if audio is None or not _holds_bytes(schema.field(audio).type):
        raise ValueError(
            f"{source.name}: no column holds the bytes of recordings, as a struct of bytes and path; found "
            f"{_listed(schema)}. Write the data set with its audio embedded (datasets: save with to_parquet or "
            "push_to_hub), or make a manifest"
        )
    text = corpus.text or next((name for name in TEXTS if name in schema.names), None)
    speaker = corpus.speaker or next((name for name in SPEAKERS if name in schema.names), None)
    return _Columns(audio, text, speaker, None if text is None else _classes(schema, text))


def _listed(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} ({field.type})" for field in schema)[:200]


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _holds_bytes(kind.field("bytes").type)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _classes(schema: pa.Schema, column: str) -> Sequence[str] | None:
    """Names of a ClassLabel, which datasets writes beside the schema."""
    try:
        known = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"][column]
    except (ValueError, KeyError, TypeError):
        return None
    return known.get("names") if isinstance(known, dict) and known.get("_type") == "ClassLabel" else None


def _utterance(
    corpus: HuggingFaceCorpus,
    source: Source,
    extracted: Extracted,
    columns: _Columns,
    number: int,
    batch: pa.RecordBatch,
    i: int,
) -> RawUtterance:
    where = f"{source.name}, row {number}"
    audio = batch.column(columns.audio)[i].as_py()
    data, called = (audio.get("bytes"), audio.get("path")) if isinstance(audio, dict) else (audio, None)
    root, path, fault = corpus.root.as_posix(), None, None
    if data is not None:
        root, path = extracted.root, extracted.write(number, data, called)
    elif called:
        path = source.beside(called)
    else:
        fault = Fault("missing_file", f"{where}: column {columns.audio} has neither bytes nor a path")
    return RawUtterance(
        id=f"{source.split or 'all'}-{source.label}-{number:07d}",
        path=path,
        text=_text(columns, batch, i, where),
        root=root,
        speaker=_cell(batch, columns.speaker, i, where),
        split=source.split,
        fault=fault,
    )


def _text(columns: _Columns, batch: pa.RecordBatch, i: int, where: str) -> str | None:
    text = _cell(batch, columns.text, i, where)
    if columns.classes is None or text is None:
        return text
    place = int(text)
    if not 0 <= place < len(columns.classes):
        return None  # datasets writes -1 where there is no label
    return columns.classes[place]


def _cell(batch: pa.RecordBatch, column: str | None, i: int, where: str) -> str | None:
    if column is None:
        return None
    try:
        value = batch.column(column)[i].as_py()
    except UnicodeDecodeError as error:
        bad = error.object[error.start]
        raise ValueError(f"{where}, column {column}: byte 0x{bad:02x} is not UTF-8: save the table as UTF-8") from None
    return text_cell(value, where, column)
