"""What became of teachers' pseudo-labels: how much was kept, and samples of what was dropped, by reason."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

SAMPLES = 3


@dataclass(frozen=True)
class Sample:
    """One hypothesis that was dropped: the transcript, its seconds, and why it was dropped."""

    id: str
    seconds: float
    text: str
    detail: str


@dataclass(frozen=True)
class Dropped:
    """What a filter dropped for one reason, with a few of the transcripts."""

    reason: str
    utterances: int
    hours: float
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class PseudoLabelSummary:
    """One student's labels from its teacher. kept_share: of the audio's time."""

    student: str
    utterances: int
    kept: int
    kept_hours: float
    kept_share: float
    dropped: tuple[Dropped, ...]


def read_summaries(folders: Sequence[Path]) -> Iterator[PseudoLabelSummary]:
    """One for each model's folder that holds labels.parquet."""
    for folder in folders:
        if (folder / "labels.parquet").is_file():
            yield summarise(folder.name, pd.read_parquet(folder / "labels.parquet"))


def summarise(student: str, table: pd.DataFrame) -> PseudoLabelSummary:
    """Of a table as `tasks.teachers.filtered_labels` writes it; the commonest reason first."""
    kept = table[table["reason"] == ""]
    reasons = table["reason"][table["reason"] != ""].value_counts(sort=True).index
    return PseudoLabelSummary(
        student=student,
        utterances=len(table),
        kept=len(kept),
        kept_hours=float(kept["duration_s"].sum() / 3600),
        kept_share=float(kept["duration_s"].sum() / table["duration_s"].sum()),
        dropped=tuple(_dropped(str(reason), table[table["reason"] == reason]) for reason in reasons),
    )


def _dropped(reason: str, rows: pd.DataFrame) -> Dropped:
    """Samples stand at even distances in the table."""
    places = np.linspace(0, len(rows) - 1, min(SAMPLES, len(rows))).round().astype(int)
    return Dropped(
        reason=reason,
        utterances=len(rows),
        hours=float(rows["duration_s"].sum() / 3600),
        samples=tuple(
            Sample(row["id"], row["duration_s"], row["raw"], row["detail"])
            for row in rows.iloc[places].to_dict("records")
        ),
    )
