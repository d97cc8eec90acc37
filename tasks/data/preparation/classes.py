"""What becomes of the classes of a keyword problem: none merges with another, or is lost, without a word."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kd.text.writing import Writing
from tasks.data.preparation.quarantine import Quarantined
from tasks.data.preparation.text import spelled_out

_NAMED = 5  # classes, or spellings of one, in a line of the log; the card has all
_LONGEST = 40  # characters of a label in such a line


@dataclass
class Classes:
    """Counts labels as they come, are kept and are put aside. Memory grows with the distinct labels only.

    A class is a label in its normal form; what has none (no word is left of it) is named as it is written.
    """

    writing: Writing
    _class_of: dict[str, str] = field(default_factory=dict)
    _given: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    _trained: set[str] = field(default_factory=set)
    _kept: set[str] = field(default_factory=set)
    _aside: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def give(self, label: str, split: str) -> None:
        """A label as the corpus writes it, and the part that its row is of."""
        self._given[self.of(label)][split] += 1

    def train(self, name: str) -> None:
        """A row of the training part that can be used."""
        self._trained.add(name)

    def keep(self, name: str) -> None:
        """A row of any part that is kept."""
        self._kept.add(name)

    def put_aside(self, row: Quarantined) -> None:
        """A row that is put aside, whatever its class."""
        if row.label is not None:
            self._aside[row.label][row.reason.value] += 1

    def of(self, label: str) -> str:
        """The class of a label as it is written."""
        written = label.strip()
        if written not in self._class_of:
            self._class_of[written] = spelled_out(written, self.writing)
        return self._class_of[written]

    @property
    def merged(self) -> dict[str, list[str]]:
        """Classes that several spellings have become, with these."""
        spellings: dict[str, list[str]] = defaultdict(list)
        for written, name in self._class_of.items():
            spellings[name].append(written)
        return {name: sorted(found) for name, found in sorted(spellings.items()) if len(found) > 1}

    @property
    def vanished(self) -> dict[str, dict[str, int]]:
        """Classes of which no row is left, with the reasons for which their rows were put aside."""
        gone = sorted(name for name in self._given if name not in self._kept)
        return {name: dict(sorted(self._aside[name].items())) for name in gone}

    @property
    def lost_to_training(self) -> dict[str, dict[str, int]]:
        """Classes whose rows of the training part were all put aside, with the reasons for all of their rows."""
        lost = sorted(name for name, parts in self._given.items() if parts["train"] and name not in self._trained)
        return {name: dict(sorted(self._aside[name].items())) for name in lost}

    @property
    def never_trained(self) -> dict[str, dict[str, int]]:
        """Classes that the corpus has in other parts alone, with their rows there as the corpus has them."""
        found = sorted(name for name, parts in self._given.items() if not parts["train"] and name not in self._trained)
        return {name: dict(sorted(self._given[name].items())) for name in found}

    def facts(self) -> dict[str, Any]:
        """For the data card."""
        return {
            "given": len(self._given),
            "kept": len(self._kept),
            "merged": self.merged,
            "vanished": self.vanished,
            "never_trained": self.never_trained,
        }

    def remarks(self) -> Iterator[str]:
        """Lines for the log."""
        if merged := self.merged:
            each = (
                f"{_in_quotes(name)} from {_listed(map(_in_quotes, spellings))}" for name, spellings in merged.items()
            )
            yield f"classes: labels that are written differently are one class: {_listed(each, '; ')}"
        if vanished := self.vanished:
            yield f"warning: no row is left of {_with_counts(vanished)}"
        if never := {name: parts for name, parts in self.never_trained.items() if name not in vanished}:
            yield (
                "warning: no training row has, so that no model can know and every test row counts as an error: "
                f"{_with_counts(never)}"
            )

    def refuse_lost(self, kept_at: Path) -> None:
        """Raises ValueError where all rows of a class in the training part were put aside: no model would know it."""
        if lost := self.lost_to_training:
            raise ValueError(
                f"all training rows were put aside of {_with_counts(lost)}: no model would know what the corpus names. "
                f"Each row is named with its reason in {kept_at}. Mend them, or take the class out of the corpus"
            )


def _with_counts(classes: dict[str, dict[str, int]]) -> str:
    each = (
        f"{_in_quotes(name)} ({', '.join(f'{n} {what}' for what, n in of.items())})" for name, of in classes.items()
    )
    return f"{len(classes)} {'class' if len(classes) == 1 else 'classes'}: {_listed(each)}"


def _listed(items: Iterable[str], between: str = ", ") -> str:
    found = list(items)
    rest = len(found) - _NAMED
    return between.join(found[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _in_quotes(label: str) -> str:
    """In quotes; with escapes what cannot be seen, or looks like something else."""
    text = label if len(label) <= _LONGEST else label[: _LONGEST - 1] + "…"
    return repr(text) if unicodedata.is_normalized("NFC", text) else ascii(text)
