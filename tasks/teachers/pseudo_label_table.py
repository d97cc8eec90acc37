"""models/NAME/hypotheses.parquet: pseudo-labels, the transcripts of a teacher that gives text."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.runner.atomic_io import whole_file, write_whole

HYPOTHESES_FILE = "hypotheses.parquet"


@dataclass(frozen=True)
class Hypothesis:
    """One transcript as the recogniser wrote it (`raw`) and in the pipeline's units (None: cannot be written so)."""

    raw: str
    text: str | None
    weight: float


@dataclass(frozen=True)
class PseudoLabel:
    """A teacher's pseudo-label of one utterance.

    hypotheses: best first, none where it was not asked. confidence, no_speech: probabilities or None.
    opinions: its transcripts at other speeds, or another teacher's. refused: why it was not asked.
    """

    id: str
    hypotheses: tuple[Hypothesis, ...]
    confidence: float | None = None
    no_speech: float | None = None
    opinions: tuple[str, ...] = ()
    refused: str | None = None

    @property
    def best(self) -> Hypothesis | None:
        return self.hypotheses[0] if self.hypotheses else None


SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field(
            "hypotheses",
            pa.list_(pa.struct([("raw", pa.string()), ("text", pa.string()), ("weight", pa.float64())])),
        ),
        pa.field("confidence", pa.float64()),
        pa.field("no_speech", pa.float64()),
        pa.field("opinions", pa.list_(pa.string())),
        pa.field("refused", pa.string()),
    ]
)


def write_pseudo_labels(folder: Path, rows: Sequence[PseudoLabel], facts: dict[str, Any]) -> None:
    """The table, and teacher.json: what the teacher is."""
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / HYPOTHESES_FILE) as beside:
        pq.write_table(pa.Table.from_pylist([asdict(row) for row in rows], schema=SCHEMA), beside)
    write_whole(folder / "teacher.json", json.dumps(facts, indent=1, ensure_ascii=False) + "\n")


def read_pseudo_labels(folder: Path) -> dict[str, PseudoLabel]:
    """By id. Raises ValueError where the folder holds none."""
    file = folder / HYPOTHESES_FILE
    if not file.is_file():
        raise ValueError(f"{folder} holds no {HYPOTHESES_FILE}: run the stage adopt_teacher or ensembles for it first")
    return {row.id: row for row in _rows(pq.read_table(file).to_pylist())}


def has_pseudo_labels(folder: Path) -> bool:
    """Whether the teacher in this folder gives transcripts, and no posteriors."""
    return (folder / HYPOTHESES_FILE).is_file()


def _rows(records: Iterable[dict[str, Any]]) -> Iterable[PseudoLabel]:
    for fields in records:
        hypotheses = tuple(Hypothesis(**one) for one in fields.pop("hypotheses"))
        yield PseudoLabel(hypotheses=hypotheses, opinions=tuple(fields.pop("opinions")), **fields)
