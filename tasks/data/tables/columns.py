"""The columns of a table: which are ours, and which look as if they were meant to be."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from tasks.data.tables.encoding import BOM

SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "path": (
        "file", "filename", "file_name", "filepath", "file_path", "audio", "audio_path", "audio_file", "wav",
        "wav_path", "audio_filepath", "clip", "recording",
    ),
    "text": ("transcript", "transcription", "sentence", "label", "txt"),
    "id": ("utt", "utt_id", "uttid", "utterance_id"),
    "speaker": ("speaker_id", "spk", "spk_id", "spkr", "client_id"),
    "split": ("subset", "partition", "set"),
    "start_s": ("begin", "start_time", "offset"),
    "end_s": ("stop", "end_time"),
    "hypothesis": ("transcript", "transcription", "text", "hyp", "prediction"),
}  # fmt: skip
"""What others call our columns. One such beside our own name is left alone, without it it is an error."""

_CLOSE = 0.85
_SHORTEST_GUESS = 5


@dataclass(frozen=True)
class Columns:
    """What a table may hold.

    texts: columns of strings; numbers: of finite numbers; all that the table's reader knows.
    aliases: other names that are as good, by what they stand for. needed: those that a
    table must have; either: those of which it must have one.
    unsure: columns of numbers where what is no number becomes NaN, for a later stage to put the row aside.
    """

    texts: tuple[str, ...]
    numbers: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()
    either: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    unsure: tuple[str, ...] = ()

    @property
    def known(self) -> tuple[str, ...]:
        return self.texts + self.numbers

    def match(self, names: Sequence[str], where: str) -> dict[str, int]:
        """The place of each of our columns among these names.

        Raises ValueError, beginning with `where`, for a column that is there twice, and for one that looks like
        ours and is not: what it holds would be ignored without a word.
        """
        self._refuse_doubled(names, where)
        found = {self.aliases.get(name, name): i for i, name in enumerate(names)}
        for name in names:
            if name in self.known or name in self.aliases:
                continue
            if (ours := self._meant(name)) is not None and ours not in found:
                raise ValueError(
                    f"{where}: column {name!r} looks like our {ours}, and would be ignored: call it {ours}, "
                    f"or something quite different if it is not {ours}"
                )
        return {name: place for name, place in found.items() if name in self.known}

    def _refuse_doubled(self, names: Sequence[str], where: str) -> None:
        seen: dict[str, str] = {}
        for name in names:
            folded = fold(name)
            ours = fold(self.aliases.get(folded, folded))
            if ours in seen and (name == seen[ours] or ours in map(fold, self.known)):
                both = f"{name!r} twice" if name == seen[ours] else f"{seen[ours]!r} and {name!r}, which are one"
                raise ValueError(f"{where}: the columns hold {both}: remove one")
            seen[ours] = name

    def _meant(self, name: str) -> str | None:
        """The column of ours that a name looks like: another case, spaces, a plural, a synonym, a slip."""
        folded = fold(name)
        for ours in (*self.known, *self.aliases):
            if fold(ours) == folded or _singular(folded) == _singular(fold(ours)):
                return self.aliases.get(ours, ours)
        for ours in self.known:
            if folded in SYNONYMS.get(ours, ()):
                return ours
        guesses = [ours for ours in self.known if len(ours) >= _SHORTEST_GUESS]
        near = get_close_matches(folded, guesses, n=1, cutoff=_CLOSE)
        return near[0] if near else None

    def missing(self, found: Iterable[str]) -> list[str]:
        have = set(found)
        either = () if have & set(self.either) else self.either
        return [name for name in (*either, *self.needed) if name not in have]


def fold(name: str) -> str:
    """A column's name without case, invisible characters and kinds of separators."""
    plain = unicodedata.normalize("NFKC", name).replace(BOM, "")
    plain = "".join(c for c in plain if unicodedata.category(c) != "Cf").casefold()
    return "_".join("".join(c if c.isalnum() else " " for c in plain).split())


def _singular(name: str) -> str:
    return name[:-1] if name.endswith("s") and not name.endswith("_s") and len(name) > 3 else name
