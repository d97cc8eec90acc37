"""Users' words brought to the letters that a model writes: its case, and its normal form of Unicode."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from kd.runtime.errors import RefusedError
from kd.runtime.terminal import say
from kd.runtime.words import BLANK_INDEX, SPACE, is_byte, spelling

SHOWN = 3  # words that a remark names


@dataclass(frozen=True)
class Lexicon:
    """Of a model's tokens."""

    tokens: Sequence[str]
    _known: dict[str, str | None] = field(default_factory=dict, repr=False)

    @cached_property
    def _pieces(self) -> frozenset[str]:
        """What tokens add to a word."""
        spelled = (spelling(token) for token in self.tokens[BLANK_INDEX + 1 :] if not is_byte(token))
        return frozenset(part for whole in spelled for part in whole.split(SPACE) if part)

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self._pieces), default=0)

    @cached_property
    def case(self) -> str | None:
        """`lower` or `upper` where all of the tokens' letters are."""
        letters = "".join(self._pieces)
        if letters == letters.lower() and letters != letters.upper():
            return "lower"
        return "upper" if letters == letters.upper() and letters != letters.lower() else None

    def fit(self, word: str) -> str | None:
        """As the tokens spell it, or None where they cannot. A word that they spell as it is stays."""
        if word not in self._known:
            forms = (form for cased in self._cased(word) for form in _forms(cased))
            self._known[word] = next((form for form in forms if form and self.spells(form)), None)
        return self._known[word]

    def spells(self, word: str) -> bool:
        """Whether tokens can follow one another so that they make the word."""
        reached = {0}
        for place in range(len(word)):
            if place in reached:
                ends = range(place + 1, min(len(word), place + self._longest) + 1)
                reached |= {end for end in ends if word[place:end] in self._pieces}
        return len(word) in reached

    def fit_all(self, words: Iterable[str], file: object) -> dict[str, str]:
        """Words to how they are spelled; says how many never can be. Raises RefusedError where none can."""
        given = list(words)
        found = {word: self.fit(word) for word in given}
        fitting = {word: form for word, form in found.items() if form is not None}
        never = [word for word, form in found.items() if form is None]
        shown = ", ".join(f"'{word[:40]}'" for word in never[:SHOWN])
        if not fitting:
            raise RefusedError(
                f"{file}: not one of its {len(given)} words can be spelled by the model's tokens, such as {shown}. "
                "Write words as the training transcripts are written"
            )
        if never:
            say(
                f"{file}: {len(never)} of its {len(given)} words can never be recognised: no tokens spell them: {shown}"
            )
        return fitting

    def _cased(self, word: str) -> Iterable[str]:
        yield word
        if self.case is not None:
            yield word.lower() if self.case == "lower" else word.upper()


def _forms(word: str) -> Iterable[str]:
    for shown in dict.fromkeys((word, visible_part(word))):
        yield shown
        yield unicodedata.normalize("NFC", shown)
        yield unicodedata.normalize("NFD", shown)


def visible_part(word: str) -> str:
    """Without the characters that nobody sees: zero-width spaces, marks of direction, soft hyphens, joiners."""
    return "".join(c for c in word if unicodedata.category(c) != "Cf" and not "\ufe00" <= c <= "\ufe0f")
