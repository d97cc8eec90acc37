"""What is said in the synthetic corpus: connected digits, a grammar, or the user's own list."""

from pathlib import Path

import numpy as np

from kd.text.writing import JOINERS, is_invisible
from tasks.data.tables.encoding import read_lines
from tasks.params.corpora import CommandPhrases, DigitPhrases, ListedPhrases, Phrases

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


class PhraseBook:
    """Draws phrases from several sources by their shares."""

    def __init__(self, sources: tuple[Phrases, ...], root: Path) -> None:
        self._sources = sources
        shares = np.array([source.share for source in sources])
        self._probabilities = shares / shares.sum()
        self._lists = {s.file: read_phrases(root / s.file) for s in sources if isinstance(s, ListedPhrases)}

    def draw(self, rng: np.random.Generator) -> str:
        source = self._sources[rng.choice(len(self._sources), p=self._probabilities)]
        match source:
            case DigitPhrases(length=(fewest, most)):
                return " ".join(DIGITS[i] for i in rng.integers(0, 10, rng.integers(fewest, most + 1)))
            case CommandPhrases(slots=slots):
                words = [slot[rng.integers(len(slot))] for slot in slots]
                return " ".join(word for word in words if word)
            case ListedPhrases(file=file):
                phrases = self._lists[file]
                return phrases[rng.integers(len(phrases))]


def read_phrases(file: Path) -> list[str]:
    """Phrases of a text file, one a line; empty lines and those that begin with # are skipped.

    Characters that nobody sees are left out, but for joiners between letters. Raises ValueError for a file that is no
    text in UTF-8, or holds no phrase.
    """
    try:
        lines = [_visible(line) for line in read_lines(file)]
    except OSError as error:
        why = "no such list of phrases" if isinstance(error, FileNotFoundError) else f"{error.strerror or error}"
        raise ValueError(f"{file}: {why}. Its path is relative to corpus.root") from None
    phrases = [line for line in lines if line and not line.startswith("#")]
    if not phrases:
        raise ValueError(f"{file} holds no phrase: write one a line")
    return phrases


def _visible(line: str) -> str:
    """Its words with single spaces between, of what can be seen."""
    plain = "".join(c for c in line if c in JOINERS or not is_invisible(c))
    return " ".join(word for word in plain.split() if not set(word) <= JOINERS)
