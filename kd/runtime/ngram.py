"""Word n-grams with back-off, from ARPA files."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from kd.runtime.errors import RefusedError
from kd.runtime.files import read_text

START, END, UNKNOWN = "<s>", "</s>", "<unk>"
UNSEEN_LOG10 = -10.0  # of a word that the file knows nothing of, where it has no <unk>
LN_10 = math.log(10.0)

Ngram = tuple[str, ...]


@dataclass(frozen=True)
class NGram:
    """entries: words to (log10 probability of the last, log10 weight of backing off from them)."""

    order: int
    entries: dict[Ngram, tuple[float, float]]

    @classmethod
    def read(cls, file: Path) -> Self:
        """Raises RefusedError where the file is no ARPA file."""
        text = read_text(file, "a language model in ARPA format")
        entries = dict(_entries(file, text))
        if not entries:
            raise RefusedError(f"{file} holds no n-gram: is it a text file in ARPA format, beginning with \\data\\?")
        if not re.search(r"^\\end\\\s*$", text, re.MULTILINE):
            raise RefusedError(f"{file} does not end with \\end\\: is it cut off? Copy it again")
        return cls(max(map(len, entries)), entries)

    @property
    def words(self) -> list[str]:
        """Without marks."""
        return sorted({word for words in self.entries for word in words if _mark(word) is None})

    def spelled(self, forms: dict[str, str]) -> Self:
        """With words written in other forms; what has none stays. Entries that become one add up."""
        entries: dict[Ngram, tuple[float, float]] = {}
        for words, (log10, backoff) in self.entries.items():
            new = tuple(_mark(word) or forms.get(word, word) for word in words)
            if new in entries:
                other, its_backoff = entries[new]
                high, low = max(log10, other), min(log10, other)
                entries[new] = (high + math.log10(1 + 10 ** (low - high)), backoff if log10 > other else its_backoff)
            else:
                entries[new] = (log10, backoff)
        return replace(self, entries=entries)

    def log_prob(self, word: str, history: Ngram) -> float:
        """ln P(word | history), by Katz's back-off; an unknown word is <unk>, or has UNSEEN_LOG10."""
        words, total = (*history[max(0, len(history) - self.order + 1) :], word), 0.0
        while True:
            if words in self.entries:
                return (total + self.entries[words][0]) * LN_10
            if len(words) == 1:
                unseen = self.entries.get((UNKNOWN,), (UNSEEN_LOG10, 0.0))[0]
                return (total + unseen) * LN_10
            total += self.entries.get(words[:-1], (0.0, 0.0))[1]
            words = words[1:]


def _mark(word: str) -> str | None:
    """<s>, </s> or <unk>, however they are written; None for a word."""
    return next((mark for mark in (START, END, UNKNOWN) if word.lower() == mark), None)


def _entries(file: Path, text: str) -> Iterator[tuple[Ngram, tuple[float, float]]]:
    order = 0
    for number, line in enumerate(text.splitlines(), 1):
        if section := re.fullmatch(r"\\(\d{1,3})-grams:\s*", line):
            order = int(section[1])
        elif line.startswith("\\"):
            order = 0
        elif order and line.strip():
            cells = line.split()
            if len(cells) not in (order + 1, order + 2):
                raise RefusedError(
                    f"{file}:{number}: {order} words between two numbers are expected, found '{line[:80]}'. Correct it"
                )
            log10, backoff = (_number(file, number, cell) for cell in (cells[0], (*cells, "0")[order + 1]))
            yield tuple(cells[1 : order + 1]), (log10, backoff)


def _number(file: Path, line: int, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise RefusedError(
            f"{file}:{line}: '{cell[:40]}' is no finite number; a logarithm to base 10 is expected. Correct it"
        )
    return value
