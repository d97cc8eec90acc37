"""Errors in the phrases that a search was told to favour, and in all other words.

As B-WER and U-WER of biased and unbiased words (Le et al. 2021, Contextualized Streaming End-to-End Speech Recognition
with Trie-Based Deep Biasing and Shallow Fusion, arXiv:2104.02194), but every inserted word counts against the rest: a
phrase that was never said must not pass for a phrase's error.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from rapidfuzz.distance import Levenshtein

from kd.text.metrics import Edits


@dataclass(frozen=True)
class HotwordCounts:
    """phrases: places of the reference in which a phrase stands; recalled: those that were written, word for word.

    named: edits of the words in these places; rest: of all other words, with all insertions.
    """

    phrases: int = 0
    recalled: int = 0
    named: Edits = field(default_factory=Edits)
    rest: Edits = field(default_factory=Edits)

    def __add__(self, other: "HotwordCounts") -> "HotwordCounts":
        return HotwordCounts(
            self.phrases + other.phrases,
            self.recalled + other.recalled,
            self.named + other.named,
            self.rest + other.rest,
        )


def hotword_counts(reference: str, hypothesis: str, phrases: Iterable[str]) -> HotwordCounts:
    """Of one utterance, by the alignment with the fewest edits of words; phrases are words between single spaces."""
    words, heard = reference.split(), hypothesis.split()
    places = [place for phrase in phrases for place in _places(words, phrase.split())]
    named = {index for place in places for index in place}
    wrong: dict[str, list[bool]] = {"replace": [], "delete": []}
    broken: set[int] = set()
    inserted = 0
    for op in Levenshtein.editops(words, heard):
        if op.tag == "insert":
            inserted += 1
            broken |= {index for place in places for index in place[1:] if index == op.src_pos}
        else:
            wrong[op.tag].append(op.src_pos in named)
            broken.add(op.src_pos)
    replaced, deleted = wrong["replace"], wrong["delete"]
    return HotwordCounts(
        phrases=len(places),
        recalled=sum(broken.isdisjoint(place) for place in places),
        named=Edits(sum(replaced), sum(deleted), 0, len(named)),
        rest=Edits(len(replaced) - sum(replaced), len(deleted) - sum(deleted), inserted, len(words) - len(named)),
    )


def _places(words: list[str], phrase: list[str]) -> list[range]:
    count = len(phrase)
    starts = range(len(words) - count + 1) if count else range(0)
    return [range(start, start + count) for start in starts if words[start : start + count] == phrase]
