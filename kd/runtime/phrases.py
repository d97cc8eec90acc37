"""Phrases as graphs of CTC states, by any way in which a model's tokens spell them.

A state emits one unit. Letters stand between numbered places; a token is an arc from place to place, and at each
inner place there is a state for the blank. Where ▁ is a token of its own, a phrase begins and ends with it, so
that `ten` is not found within `attention`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kd.runtime.errors import RefusedError
from kd.runtime.files import read_text
from kd.runtime.lexicon import Lexicon, visible_part
from kd.runtime.words import BLANK_INDEX, SPACE


@dataclass(frozen=True)
class Phrase:
    """A phrase to spot: as its user wrote it, and as the model's tokens spell it."""

    text: str
    letters: str


@dataclass
class Graph:
    """Legend: S states of all phrases.

    before_SP: states from which a state is reached, itself included, filled up with S. enters_S: may begin a phrase;
    starts_S: holds its first letter; sounds_S: is neither blank nor a boundary. finals: last states of each phrase.
    """

    units_S: list[int] = field(default_factory=list)
    before: list[list[int]] = field(default_factory=list)
    enters_S: list[bool] = field(default_factory=list)
    starts_S: list[bool] = field(default_factory=list)
    sounds_S: list[bool] = field(default_factory=list)
    finals: list[list[int]] = field(default_factory=list)

    @property
    def before_SP(self) -> npt.NDArray[np.int64]:
        widest = max(map(len, self.before))
        return np.array([row + [len(self.before)] * (widest - len(row)) for row in self.before], np.int64)

    def state(self, unit: int, enters: bool = False, starts: bool = False, sounds: bool = False) -> int:
        self.units_S.append(unit)
        self.before.append([len(self.before)])
        self.enters_S.append(enters)
        self.starts_S.append(starts)
        self.sounds_S.append(sounds)
        return len(self.before) - 1


def read_phrases(file: Path, tokens: Sequence[str]) -> list[Phrase]:
    """One phrase a line, in the model's case; empty lines and those that begin with # are none. Raises RefusedError."""
    lexicon = Lexicon(tokens)
    found: dict[str, Phrase] = {}
    for _, text in phrase_lines(file):
        phrase = spell(in_the_models_case(text, lexicon), tokens)
        found.setdefault(phrase.letters, phrase)
    return list(found.values())


def phrase_lines(file: Path) -> list[tuple[int, str]]:
    """Numbers and texts of the lines that hold a phrase, without what nobody sees. Raises RefusedError for none."""
    lines = enumerate(read_text(file, "a list with one phrase a line").splitlines(), start=1)
    shown = [(number, " ".join(word for word in line.split() if visible_part(word))) for number, line in lines]
    found = [(number, line) for number, line in shown if line and not visible_part(line).startswith("#")]
    if not found:
        raise RefusedError(f"{file} holds no phrase: write one a line")
    return found


def in_the_models_case(text: str, lexicon: Lexicon) -> str:
    """Each word as the model's tokens write it; one that they cannot spell stays as it is."""
    return " ".join(lexicon.fit(word) or word for word in text.split())


def spell(text: str, tokens: Sequence[str]) -> Phrase:
    """A phrase with its letters as the tokens write them. Raises RefusedError where they cannot."""
    bounded = SPACE in tokens and not any(token.startswith(SPACE) and token != SPACE for token in tokens)
    marked = SPACE + text.replace(" ", SPACE)
    pieces = any(token.startswith(SPACE) and token != SPACE for token in tokens)
    letters = marked + SPACE if bounded else marked if pieces else text
    reached = {0}
    for place in range(len(letters)):
        if place in reached:
            reached |= {place + len(token) for token in tokens[1:] if letters.startswith(token, place)}
    if len(letters) not in reached:
        stuck = letters[max(place for place in reached if place <= len(letters)) :][:1]
        raise RefusedError(
            f"'{text}' cannot be spelled by the model's tokens: it is stuck at '{stuck}'. Write phrases as the "
            "training transcripts are written: mostly in lower case, numbers as words, without punctuation"
        )
    return Phrase(text, letters)


def build(phrases: Sequence[Phrase], tokens: Sequence[str]) -> Graph:
    """One graph of all phrases; each is a graph of its own within it."""
    graph = Graph()
    for phrase in phrases:
        _add(graph, phrase.letters, tokens)
    return graph


def _add(graph: Graph, letters: str, tokens: Sequence[str]) -> None:
    bounded = letters.endswith(SPACE)
    first = 1 if bounded else 0
    blanks = {place: graph.state(BLANK_INDEX) for place in range(1, len(letters))}
    ending: dict[int, list[int]] = {place: [] for place in range(len(letters) + 1)}
    for place in range(len(letters)):
        arriving = list(ending[place])
        for index, token in enumerate(tokens):
            if index == BLANK_INDEX or not letters.startswith(token, place):
                continue
            boundary = bounded and place in (0, len(letters) - 1)
            state = graph.state(index, enters=place == 0, starts=place == first, sounds=not boundary)
            graph.before[state] += [s for s in arriving if graph.units_S[s] != index]
            graph.before[state] += [blanks[place]] if place else []
            ending[place + len(token)].append(state)
        if place:
            graph.before[blanks[place]] += arriving
    graph.finals.append(ending[len(letters)])
