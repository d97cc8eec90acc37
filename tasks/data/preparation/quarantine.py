"""What is wrong with an utterance, and the table that keeps what was put aside."""

import csv
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TextIO

from kd.runtime.terminal import one_line
from tasks.runner.atomic_io import write_whole


class Reason(StrEnum):
    """Why a recording is not used, as quarantine.csv has it."""

    MISSING_FILE = "missing_file"
    OUTSIDE_ROOT = "outside_root"
    UNREADABLE = "unreadable"
    EMPTY = "empty"
    BAD_SEGMENT = "bad_segment"
    NON_FINITE = "non_finite"
    SILENT = "silent"
    CLIPPED = "clipped"
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    MISSING_TEXT = "missing_text"
    OUT_OF_ALPHABET = "out_of_alphabet"
    NOT_ALIGNABLE = "not_alignable"
    LABEL_NOT_IN_TRAINING = "label_not_in_training"
    DUPLICATE = "duplicate"
    DUPLICATE_ID = "duplicate_id"


class RejectedError(Exception):
    """An utterance that cannot be used, with the reason and what was found: one line, however long a cell was."""

    def __init__(self, reason: Reason, detail: str) -> None:
        detail = one_line(detail)
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type["RejectedError"], tuple[Reason, str]]:
        return RejectedError, (self.reason, self.detail)


@dataclass(frozen=True)
class Quarantined:
    """A row of quarantine.csv; `label`, which is not written there, is its text in normal form, None without one."""

    id: str
    path: str
    reason: Reason
    detail: str
    label: str | None = None


@contextmanager
def kept_where_refused(table: Path, kept_at: Path) -> Iterator[TextIO]:
    """The table to write to; a copy of it stays where the block raises ValueError."""
    try:
        with table.open("w", encoding="utf-8", newline="") as file:
            yield file
    except ValueError:
        kept_at.parent.mkdir(parents=True, exist_ok=True)
        write_whole(kept_at, table.read_bytes())
        raise


class Quarantine:
    """Writes quarantine.csv row by row, and counts by reason."""

    def __init__(self, file: TextIO) -> None:
        self._writer = csv.writer(file, lineterminator="\n")
        self._writer.writerow(("id", "path", "reason", "detail"))
        self.counts: Counter[str] = Counter()

    def add(self, row: Quarantined) -> None:
        self._writer.writerow((row.id, row.path, row.reason.value, row.detail))
        self.counts[row.reason.value] += 1

    @property
    def summary(self) -> str:
        """Such as `3 silent, 1 empty`: the commonest first."""
        ordered = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        return ", ".join(f"{count} {reason}" for reason, count in ordered) or "none"


def check_share(quarantine: Quarantine, total: int, limit: float, kept_at: Path) -> None:
    """Raises ValueError, naming the counts and where the table is, where more than `limit` is put aside."""
    bad = sum(quarantine.counts.values())
    if bad > limit * total:
        raise ValueError(
            f"{bad} of {total} utterances ({bad / total:.1%}) are in quarantine, and "
            f"preprocess.max_quarantined_share allows {limit:.1%}: {quarantine.summary}. "
            f"Each is named with its reason in {kept_at}. Mend the corpus, or allow more"
        )
