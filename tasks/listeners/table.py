"""Transcripts from a table: CSV, TSV, JSONL or Parquet, by id or by path."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from tasks.listeners.listener import Clip, Transcription
from tasks.params.teachers import TableTeacher
from tasks.watch import Watch

READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    ".csv": lambda file: pd.read_csv(file, dtype=str, keep_default_na=False),
    ".tsv": lambda file: pd.read_csv(file, dtype=str, keep_default_na=False, sep="\t"),
    ".jsonl": lambda file: pd.read_json(file, lines=True, dtype=False, precise_float=True),
    ".parquet": pd.read_parquet,
}
EXPECTED = "expected id or path, hypothesis, and optionally confidence and weight"


class Table:
    """The user's table. Several rows of one utterance are its n-best, best first by weight."""

    identity = None

    def __init__(self, settings: TableTeacher, root: Path) -> None:
        self.file = root / settings.path

    def listen(self, clips: Sequence[Clip], watch: Watch) -> Iterator[tuple[str, Transcription]]:
        return transcriptions(self.file, clips)


def transcriptions(file: Path, clips: Sequence[Clip]) -> Iterator[tuple[str, Transcription]]:
    """What the table says of each clip. Raises ValueError where it cannot be read or knows none of them."""
    table = _read(file)
    key = "id" if "id" in table.columns else "path"
    rows: dict[str, list[dict[str, Any]]] = {}
    for record in table.to_dict("records"):
        rows.setdefault(str(record[key]), []).append({str(k): v for k, v in record.items()})
    known = [clip for clip in clips if _name(clip, key) in rows]
    if not known:
        raise ValueError(
            f"{file} names none of the {len(clips)} utterances by its column {key}: it holds such as "
            f"'{next(iter(rows), '')}', the utterances are such as '{_name(clips[0], key)}'"
        )
    for clip in clips:
        found = rows.get(_name(clip, key))
        if found is None:
            yield clip.id, Transcription((), refused="the table has no row of it")
        else:
            yield clip.id, _transcription(found, f"{file}, {key} {_name(clip, key)}")


def _name(clip: Clip, key: str) -> str:
    return clip.id if key == "id" else clip.source


def _read(file: Path) -> pd.DataFrame:
    if not file.is_file():
        raise ValueError(f"{file}: no such table; {EXPECTED}")
    if file.suffix.lower() not in READERS:
        raise ValueError(f"{file}: a table ends in {', '.join(READERS)}, not in '{file.suffix}'")
    try:
        table: pd.DataFrame = READERS[file.suffix.lower()](file)
    except (ValueError, OSError) as error:
        raise ValueError(f"{file} cannot be read as {file.suffix}: {error}") from None
    if "hypothesis" not in table.columns or not {"id", "path"} & set(table.columns):
        raise ValueError(f"{file} has the columns {', '.join(map(str, table.columns))}; {EXPECTED}")
    return table


def _transcription(rows: Sequence[Mapping[str, Any]], where: str) -> Transcription:
    weights = [_number(row.get("weight"), where, "weight") for row in rows]
    if len(rows) > 1 and any(w is None or w <= 0 for w in weights):
        raise ValueError(f"{where}: {len(rows)} rows need a weight above 0 each, found {weights}")
    texts = [
        ("" if _empty(row["hypothesis"]) else str(row["hypothesis"]), w or 1.0)
        for row, w in zip(rows, weights, strict=True)
    ]
    order = sorted(range(len(rows)), key=lambda i: -texts[i][1])
    confidence = _number(rows[order[0]].get("confidence"), where, "confidence")
    if confidence is not None and not 0 <= confidence <= 1:
        raise ValueError(f"{where}: confidence {confidence:g} is no probability: give it between 0 and 1")
    return Transcription(tuple(texts[i] for i in order), confidence)


def _number(value: Any, where: str, column: str) -> float | None:
    if _empty(value):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{where}: {column} '{value}' is no number") from None


def _empty(value: Any) -> bool:
    return value is None or value == "" or bool(pd.isna(value))
