"""What beam search knows about words: a list of them, an n-gram, hotwords, all of these or none."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

from kd.runtime.errors import RefusedError
from kd.runtime.files import read_text
from kd.runtime.hotwords import Hotwords
from kd.runtime.lexicon import Lexicon
from kd.runtime.ngram import END, START, NGram
from kd.runtime.words import SPACE, spelling


class State(NamedTuple):
    """partial: letters since the last word's end; history: words that the n-gram looks at; score: in nats; hot: where
    the hotwords' automaton stands."""

    partial: str
    history: tuple[str, ...]
    score: float
    hot: int = 0


@dataclass(frozen=True)
class Scorer:
    """weight: of the n-gram's logarithms against CTC's; bonus: nats for each word."""

    ngram: NGram | None = None
    words: frozenset[str] | None = None
    weight: float = 0.5
    bonus: float = 0.0
    hotwords: Hotwords | None = None
    _prefixes: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        prefixes = frozenset(word[:i] for word in self.words or () for i in range(1, len(word) + 1))
        object.__setattr__(self, "_prefixes", prefixes)

    @classmethod
    def read(
        cls, arpa: Path | None, word_list: Path | None, weight: float, bonus: float, tokens: Sequence[str] | None = None
    ) -> Self:
        """From an ARPA file and a file with one word a line; either may be missing.

        tokens: of the model, to whose case and normal form words are brought. Says how many it cannot spell. Raises
        RefusedError.
        """
        lexicon, words, ngram = None if tokens is None else Lexicon(tokens), None, None
        if word_list is not None:
            words = frozenset(read_text(word_list, "a list with one word a line").split())
            if not words:
                raise RefusedError(f"{word_list} holds no word, and nothing could be recognised: write one a line")
            words = frozenset(lexicon.fit_all(sorted(words), word_list).values()) if lexicon else words
        if arpa is not None:
            ngram = NGram.read(arpa)
            ngram = ngram.spelled(lexicon.fit_all(ngram.words, arpa)) if lexicon else ngram
        return cls(ngram, words, weight, bonus)

    @property
    def start(self) -> State:
        return State("", (START,), 0.0, 0 if self.hotwords is None else self.hotwords.start)

    def extend(self, state: State, token: str) -> State | None:
        """The state after one more token, or None where the list holds no such word."""
        if self.hotwords is not None:
            hot, gain = self.hotwords.follow(state.hot, token)
            state = state._replace(hot=hot, score=state.score + gain)
        for letters in _pieces(spelling(token)):
            after = self._end_word(state) if letters == SPACE else self._lengthen(state, letters)
            if after is None:
                return None
            state = after
        return state

    def close(self, state: State) -> float | None:
        """The score if the text ends here, or None within a word that the list does not hold."""
        ended = self._end_word(state)
        if ended is None:
            return None
        score = ended.score
        if self.hotwords is not None:
            score += self.hotwords.close(ended.hot)
        if self.ngram is not None:
            score += self.weight * self.ngram.log_prob(END, ended.history)
        return score

    def _lengthen(self, state: State, letters: str) -> State | None:
        partial = state.partial + letters
        if self.words is not None and partial not in self._prefixes:
            return None
        return state._replace(partial=partial)

    def _end_word(self, state: State) -> State | None:
        word, history = state.partial, state.history
        if not word:
            return state
        if self.words is not None and word not in self.words:
            return None
        score = state.score + self.bonus
        if self.ngram is None:
            return State("", history, score, state.hot)
        score += self.weight * self.ngram.log_prob(word, history)
        kept = self.ngram.order - 1
        return State("", (*history, word)[-kept:] if kept else (), score, state.hot)


def _pieces(spelled: str) -> Iterable[str]:
    """Letters between marks of a space, and the marks."""
    parts = spelled.split(SPACE)
    for i, part in enumerate(parts):
        if i:
            yield SPACE
        if part:
            yield part
