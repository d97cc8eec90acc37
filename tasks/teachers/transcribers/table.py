"""Transcripts from a table: CSV, TSV, JSONL or Parquet, by id or by path."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tasks.data.tables import Columns, Row, rows_by_utterance
from tasks.data.tables.cells import format_cell
from tasks.params.teachers import TableTeacher
from tasks.runner.reporter import Reporter
from tasks.teachers.transcribers.transcriber import Clip, TranscriberOutput

COLUMNS = Columns(
    texts=("id", "path", "hypothesis"), numbers=("confidence", "weight"), needed=("hypothesis",), either=("id", "path")
)
EXPECTED = "expected id or path, hypothesis, and optionally confidence and weight"


class Table:
    """The user's table. Several rows of one utterance are its n-best, best first by weight."""

    identity = None

    def __init__(self, settings: TableTeacher, root: Path) -> None:
        self.file = root / settings.path

    def transcribe(self, clips: Sequence[Clip], reporter: Reporter) -> Iterator[tuple[str, TranscriberOutput]]:
        return transcriptions(self.file, clips)


def transcriptions(file: Path, clips: Sequence[Clip]) -> Iterator[tuple[str, TranscriberOutput]]:
    """What the table says of each clip. Raises ValueError where it cannot be read or knows none of them."""
    key, rows = rows_by_utterance(file, COLUMNS, COLUMNS.either, f"no such table; {EXPECTED}")
    known = [clip for clip in clips if _name(clip, key) in rows]
    if not known:
        raise ValueError(
            f"{file} names none of the {len(clips)} utterances by its column {key}: it holds such as "
            f"{format_cell(next(iter(rows), ''))}, the utterances are such as {format_cell(_name(clips[0], key))}. "
            f"Write the utterances' {key} there"
        )
    for clip in clips:
        found = rows.get(_name(clip, key))
        if found is None:
            yield clip.id, TranscriberOutput((), refused="the table has no row of it")
        else:
            yield clip.id, _transcription(found, f"{file}, {key} {format_cell(_name(clip, key))}")


def _name(clip: Clip, key: str) -> str:
    return clip.id if key == "id" else clip.source


def _transcription(rows: Sequence[Row], where: str) -> TranscriberOutput:
    weights = [row.number("weight") for row in rows]
    if len(rows) > 1 and any(w is None or w <= 0 for w in weights):
        raise ValueError(
            f"{where}: {len(rows)} rows need a weight above 0 each, found {format_cell(weights)}: give weights"
        )
    texts = [(row.text("hypothesis") or "", w or 1.0) for row, w in zip(rows, weights, strict=True)]
    order = sorted(range(len(rows)), key=lambda i: -texts[i][1])
    confidence = rows[order[0]].number("confidence")
    if confidence is not None and not 0 <= confidence <= 1:
        raise ValueError(
            f"{rows[order[0]].where}: confidence {confidence:g} is no probability: give it between 0 and 1"
        )
    return TranscriberOutput(tuple(texts[i] for i in order), confidence)
