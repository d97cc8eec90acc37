"""Hotwords: phrases that a search is to favour, whatever the model was trained on (contextual biasing).

An automaton over letters (Aho & Corasick 1975) follows all phrases at once. A letter that lengthens the beginning of a
phrase earns the phrase's boost; where the phrase does not end, what its beginning had earned is taken back. So a text
as a whole earns, for each place in which a phrase stands in it, the boost for each of the phrase's letters, and nothing
else. Phrases are whole words: `ten` earns nothing in `attention`, where a model writes spaces at all.
"""

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from kd.runtime.errors import RefusedError
from kd.runtime.lexicon import Lexicon
from kd.runtime.phrases import in_the_models_case, phrase_lines, spell
from kd.runtime.words import SPACE, spelling

BOOST = 0.5  # nats for each letter of a phrase that names none of its own
MOST = 100.0
_OWN_BOOST = re.compile(r"(.*?)\s+:(\S+)")


@dataclass(frozen=True)
class Hotword:
    """A phrase in the model's letters, and its boost in nats for each of them, spaces aside."""

    text: str
    boost: float


def read_hotwords(file: Path, boost: float, tokens: Sequence[str]) -> list[Hotword]:
    """One phrase a line, as sherpa-onnx has them: ` :2.5` behind a phrase is its own boost, for each letter.

    Empty lines and those that begin with # are none; of a phrase that stands there twice, the last line counts. Raises
    RefusedError, naming the line.
    """
    lexicon = Lexicon(tokens)
    found: dict[str, Hotword] = {}
    for number, line in phrase_lines(file):
        own = _OWN_BOOST.fullmatch(line)
        nats = _boost(own[2], f"{file}:{number}") if own else boost
        phrase = in_the_models_case(own[1] if own else line, lexicon)
        try:
            spell(phrase, tokens)
        except RefusedError as error:
            raise RefusedError(f"{file}:{number}: {error}") from None
        found[phrase] = Hotword(phrase, nats)
    return list(found.values())


def _boost(cell: str, place: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = -1.0
    if not 0 < value <= MOST:
        raise RefusedError(
            f"{place}: ':{cell[:40]}' is no boost: a number of nats for each letter is expected, above 0 and up to "
            f"{MOST:g}, as in `new york :1.5`"
        )
    return value


@dataclass(slots=True)
class _Node:
    """letter: that led here; promised: what the longest hope would have earned by now; paid: by phrases that end."""

    letter: str = ""
    promised: float = 0.0
    paid: float = 0.0
    fallback: int = 0


class Hotwords:
    """The automaton of some phrases. Its states are numbers; `start` is that of a text that has not begun."""

    def __init__(self, phrases: Sequence[Hotword], tokens: Sequence[str]) -> None:
        self._spaced = any(SPACE in spelling(token) for token in tokens)
        self._nodes = [_Node()]
        self._next: list[dict[str, int]] = [{}]
        for phrase in phrases:
            self._enter(phrase)
        self._link()
        self._known: dict[tuple[int, str], tuple[int, float]] = {}
        self.start = self._step(0, SPACE)[0] if self._spaced else 0

    @classmethod
    def read(cls, file: Path | None, boost: float, tokens: Sequence[str]) -> Self | None:
        """None where no file is named; raises RefusedError as `read_hotwords` does."""
        return None if file is None else cls(read_hotwords(file, boost, tokens), tokens)

    def follow(self, state: int, token: str) -> tuple[int, float]:
        """The state after one more token, and the nats that it earns; fewer than 0 where hopes are given up."""
        key = state, token
        if key not in self._known:
            gain = 0.0
            for letter in spelling(token):
                state, earned = self._step(state, letter)
                gain += earned
            self._known[key] = state, gain
        return self._known[key]

    def close(self, state: int) -> float:
        """What is earned, or taken back, if the text ends here."""
        gain = 0.0
        if self._spaced:
            state, gain = self._step(state, SPACE)
        return gain - self._nodes[state].promised

    def hope(self, state: int) -> float:
        """What has been earned by the beginning of a phrase and may be taken back yet; 0: no phrase has begun."""
        return self._nodes[state].promised

    def _enter(self, phrase: Hotword) -> None:
        letters = phrase.text.replace(" ", SPACE)
        node, earned = 0, 0.0
        for letter in f"{SPACE}{letters}{SPACE}" if self._spaced else letters:
            self._nodes[node].promised = max(self._nodes[node].promised, earned)
            if letter not in self._next[node]:
                self._next[node][letter] = len(self._nodes)
                self._nodes.append(_Node(letter))
                self._next.append({})
            node = self._next[node][letter]
            earned += phrase.boost if letter != SPACE else 0.0
        self._nodes[node].paid = earned

    def _link(self) -> None:
        """Fallbacks by breadth: to the longest end of a node's letters that begins a phrase, too."""
        queue = deque(self._next[0].values())
        while queue:
            node = queue.popleft()
            for letter, child in self._next[node].items():
                self._nodes[child].fallback = self._target(self._nodes[node].fallback, letter)
                queue.append(child)
            behind = self._nodes[self._nodes[node].fallback]
            self._nodes[node].paid += behind.paid
            self._nodes[node].promised = max(self._nodes[node].promised, behind.promised)

    def _target(self, node: int, letter: str) -> int:
        while node and letter not in self._next[node]:
            node = self._nodes[node].fallback
        return self._next[node].get(letter, 0)

    def _step(self, node: int, letter: str) -> tuple[int, float]:
        if letter == SPACE == self._nodes[node].letter:
            return node, 0.0  # a second space is no other word
        after = self._target(node, letter)
        return after, self._nodes[after].paid + self._nodes[after].promised - self._nodes[node].promised
