"""How transcripts are written: one normal form for alphabets, transcripts, classes and lists of phrases."""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

_APOSTROPHES = {"’": "'", "‘": "'", "ʼ": "'", "`": "'", "´": "'"}

_SPOKEN = frozenset("%‰‱٪؉؊&@#§°")
_SPOKEN_CATEGORIES = ("Sc", "Sm")
"""Signs of currency and of mathematics, which have a name when they are read; other signs are not said."""

_VISIBLE_FORMATS = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
_INVISIBLE_MARKS = frozenset("\u034f\u115f\u1160\u3164\uffa0\u180b\u180c\u180d\u180f")
JOINERS = frozenset("\u200c\u200d")
_LETTERS_OF_THEIR_OWN = frozenset("\u0e33\u0eb3")
"""Thai and Lao AM: Unicode's compatibility form takes them apart, and nobody writes them so."""

_DOTTED = ("tr", "az", "tur", "aze")
"""Languages whose capital of i is İ, and whose I is that of ı."""


@dataclass(frozen=True)
class Writing:
    """What becomes of a transcript.

    alphabet: characters that may be written, in their composed form (NFC); None: any.
    language: decides how capitals become small: in tr and az İ becomes i, and I becomes ı.
    replace: what is written to how it is read, in this order; signs are set off by spaces.
    """

    alphabet: str | None = None
    lowercase: bool = True
    strip_punctuation: bool = True
    language: str | None = None
    replace: Mapping[str, str] = field(default_factory=dict)

    def plain(self, text: str) -> str:
        """The text in its normal form, with all that the alphabet has not left in it; empty where no word is left."""
        plain = self._composed(text)
        plain = replaced(plain, {self._composed(written): said for written, said in self.replace.items()})
        if self.lowercase:
            plain = self._composed(lower(plain, self.language))
        if self.strip_punctuation:
            plain = "".join(" " if is_punctuation(c) and c not in self._kept else c for c in plain)
        return composed(" ".join(plain.split()))

    def strange(self, plain: str) -> list[str]:
        """Characters of a normalised text that the alphabet has not."""
        return [] if self.alphabet is None else sorted(set(plain) - self._letters)

    def never_written(self) -> list[str]:
        """Characters of the alphabet that no transcript can hold, whatever was said."""
        return [c for c in self.alphabet or "" if c != " " and self.plain(c) != c]

    @cached_property
    def _letters(self) -> frozenset[str]:
        return frozenset(self.alphabet or "")

    @cached_property
    def _joiners(self) -> frozenset[str]:
        return self._letters & JOINERS

    @property
    def _kept(self) -> frozenset[str]:
        return self._letters if self.alphabet is not None else frozenset("'")

    def _composed(self, text: str) -> str:
        """NFC, straight apostrophes, no invisible characters; what the alphabet has not, in its compatibility form."""
        kept = self._letters if self.alphabet is not None else _LETTERS_OF_THEIR_OWN
        visible = composed("".join(c for c in text if not is_invisible(c) or c in self._joiners))
        return composed("".join(c if c in kept else _compatible(c) for c in visible))


def composed(text: str) -> str:
    """Letters with their accents as one character each where there is such a one (NFC)."""
    return unicodedata.normalize("NFC", text)


def _compatible(character: str) -> str:
    """A straight apostrophe, or Unicode's compatibility form, without what is invisible in that."""
    if (straight := _APOSTROPHES.get(character)) is not None:
        return straight
    return "".join(c for c in unicodedata.normalize("NFKC", character) if not is_invisible(c))


def is_invisible(character: str) -> bool:
    """Format characters and variation selectors: they show nothing, and nobody says them.

    Joiners (U+200C, U+200D) are among them; an alphabet that holds them keeps them.
    """
    if unicodedata.category(character) == "Cf":
        return character not in _VISIBLE_FORMATS
    return (
        character in _INVISIBLE_MARKS or "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"
    )


def is_spoken(character: str) -> bool:
    """Whether a sign is read aloud: %, &, +, €, ° and such."""
    return character in _SPOKEN or unicodedata.category(character) in _SPOKEN_CATEGORIES


def is_punctuation(character: str) -> bool:
    """Whether it is a punctuation mark or symbol that nobody says."""
    return unicodedata.category(character)[0] in "PS" and not is_spoken(character)


def lower(text: str, language: str | None) -> str:
    """Small letters as the language has them."""
    if language is not None and language.lower().split("-")[0] in _DOTTED:
        text = text.replace("I\u0307", "i").replace("İ", "i").replace("I", "ı")
    return text.lower()


def replaced(text: str, replacements: Mapping[str, str]) -> str:
    """What is written to what is said, in this order; signs that are spoken are set off by spaces."""
    for written, said in replacements.items():
        text = text.replace(written, f" {said} " if all(map(is_spoken, written)) else said)
    return text


def format_characters(characters: Iterable[str]) -> str:
    """Characters with their code points where they are hard to see: 'ü', U+0301."""
    return " ".join(_format_character(c) for c in characters)


def _format_character(character: str) -> str:
    hidden = is_invisible(character) or unicodedata.category(character)[0] in "MZC"
    return f"U+{ord(character):04X}" if hidden and character != " " else repr(character)
