"""Word n-grams with back-off, from ARPA files."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from kd.runtime.errors import RefusedError

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
        if not file.is_file():
            raise RefusedError(f"{file}: no such file; a language model in ARPA format is expected")
        entries = dict(_entries(file))
        if not entries:
            raise RefusedError(f"{file} holds no n-gram: is it a text file in ARPA format, beginning with \\data\\?")
        return cls(max(map(len, entries)), entries)

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


def _entries(file: Path) -> Iterator[tuple[Ngram, tuple[float, float]]]:
    order = 0
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if section := re.fullmatch(r"\\(\d+)-grams:\s*", line):
            order = int(section[1])
        elif line.startswith("\\"):
            order = 0
        elif order and line.strip():
            cells = line.split()
            if len(cells) not in (order + 1, order + 2):
                raise RefusedError(f"{file}:{number}: {order} words between two numbers are expected, found '{line}'")
            yield tuple(cells[1 : order + 1]), (float(cells[0]), float(cells[order + 1]) if cells[order + 1 :] else 0.0)
