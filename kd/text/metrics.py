"""Errors of hypotheses against references: words, characters, keywords."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from rapidfuzz.distance import Levenshtein

from kd.config.models import Problem


@dataclass(frozen=True)
class Edits:
    """What turns a reference into a hypothesis with the fewest edits, and how long the reference is."""

    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    reference_units: int = 0

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    def __add__(self, other: Self) -> "Edits":
        return Edits(
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
            self.reference_units + other.reference_units,
        )


def edits(reference: Sequence[str], hypothesis: Sequence[str]) -> Edits:
    """Fewest substitutions, deletions and insertions, each at cost 1 (Levenshtein distance)."""
    kinds = [op.tag for op in Levenshtein.editops(reference, hypothesis)]
    return Edits(kinds.count("replace"), kinds.count("delete"), kinds.count("insert"), len(reference))


def word_edits(reference: str, hypothesis: str) -> Edits:
    """Edits over words: whatever white space separates."""
    return edits(reference.split(), hypothesis.split())


def char_edits(reference: str, hypothesis: str) -> Edits:
    """Edits over characters; one space between words counts as a character, as in jiwer."""
    return edits(" ".join(reference.split()), " ".join(hypothesis.split()))


def keyword_edits(reference: str, hypothesis: str) -> Edits:
    """One unit, right or wrong: the error rate is 1 − accuracy."""
    return Edits(substitutions=int(reference != hypothesis), reference_units=1)


EDITS: dict[Problem, Callable[[str, str], Edits]] = {
    "transcription": word_edits,
    "keyword": keyword_edits,
}


def error_rate(counts: Iterable[Edits]) -> float:
    """Errors of a corpus ÷ its reference units, as a fraction; above 1 where insertions abound.

    Pooled over utterances, so a long one weighs more; raises ValueError without reference units.
    """
    total = sum(counts, Edits())
    if total.reference_units == 0:
        raise ValueError(
            "an error rate needs references, and these hold no unit. Is the split empty? Give it transcripts"
        )
    return total.errors / total.reference_units
