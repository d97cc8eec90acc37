"""What is said in the synthetic corpus: connected digits, a grammar, or the user's own list."""

from pathlib import Path

import numpy as np

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
    """Phrases of a text file, one a line; empty lines and those that begin with # are skipped."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise ValueError(f"{file}: no such list of phrases. Its path is relative to corpus.root") from None
    phrases = [" ".join(line.split()) for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not phrases:
        raise ValueError(f"{file} holds no phrase: write one a line")
    return phrases
