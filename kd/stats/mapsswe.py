"""Matched pairs of sentence segments: do two recognisers differ in word errors, stretch by stretch?

Gillick & Cox 1989, "Some statistical issues in the comparison of speech recognition algorithms", sec. 4.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from rapidfuzz.distance import Levenshtein

from kd.stats.tails import beyond_normal, normal_above

BETWEEN = 2
"""Words that both must have right between two segments."""


@dataclass(frozen=True)
class MatchedPairs:
    """segments: those with an error; mean: errors of this model minus the other's in each; z; two-sided p."""

    segments: int
    mean: float
    z: float
    p: float


def mapsswe(references_N: Sequence[str], hypotheses_N: Sequence[str], others_N: Sequence[str]) -> MatchedPairs:
    """Whether mean errors over segments differ: z = mean ÷ (standard deviation ÷ √segments), normal under equality.

    An approximation for many segments (say 50), and it takes segments of one speaker for independent. Where all
    segments differ by the same, there is no deviation to divide by: then p is that of the exact sign test.
    Deviation from NIST's sc_stats: alignments by plain Levenshtein distance.
    """
    pairs = zip(references_N, hypotheses_N, others_N, strict=True)
    found = [segment for texts in pairs for segment in segments(*texts)]
    more = np.array([errors - others for errors, others in found], float)
    if len(more) == 0 or not more.any():
        return MatchedPairs(len(more), 0.0, 0.0, 1.0)
    deviation = float(more.std(ddof=1)) if len(more) > 1 else 0.0
    if deviation == 0:
        p = min(1.0, 2 * 0.5 ** len(more))
        return MatchedPairs(len(more), float(more.mean()), float(np.sign(more[0]) * normal_above(p / 2)), p)
    z = float(more.mean()) / (deviation / sqrt(len(more)))
    return MatchedPairs(len(more), float(more.mean()), z, beyond_normal(z))


def segments(reference: str, hypothesis: str, other: str) -> list[tuple[int, int]]:
    """Errors of both models in each stretch of an utterance that holds any.

    Stretches are parted by at least two words that both models have right, so that an error in one does not
    bring about an error in the next.
    """
    counts: dict[int, list[int]] = {}
    for model, text in enumerate((hypothesis, other)):
        for place in _places(reference, text):
            counts.setdefault(place, [0, 0])[model] += 1
    found: list[list[int]] = []
    last = None
    for place in sorted(counts):
        if last is None or _words_between(last, place) >= BETWEEN:
            found.append([0, 0])
        found[-1] = [a + b for a, b in zip(found[-1], counts[place], strict=True)]
        last = place
    return [(errors, others) for errors, others in found]


def _places(reference: str, hypothesis: str) -> Iterator[int]:
    """Where errors lie: 2k + 1 at the k-th word, 2k in the gap before it."""
    for op in Levenshtein.editops(reference.split(), hypothesis.split()):
        yield 2 * op.src_pos + (op.tag != "insert")


def _words_between(place: int, later: int) -> int:
    """Words that lie strictly between two places."""
    return later // 2 - (place + 1) // 2
