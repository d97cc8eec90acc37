"""From units with their frames to words with their times."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

BLANK_INDEX = 0
SPACE = "▁"
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit as CTC emitted it, on output frames from start to before end. log_prob: mean over them, in nats."""

    index: int
    start: int
    end: int
    log_prob: float


@dataclass(frozen=True, slots=True)
class Word:
    """confidence: geometric mean of the probabilities of the word's units, from 0 to 1."""

    text: str
    start_s: float
    end_s: float
    confidence: float


def spelling(token: str) -> str:
    """What a token adds to the text; ▁ stands for a space. Marks add nothing."""
    return "" if is_mark(token) else token


def is_mark(token: str) -> bool:
    """Whether a token stands for no sound: <unk>, <s>, [PAD] and such, but no byte."""
    return len(token) > 2 and (token[0], token[-1]) in (("<", ">"), ("[", "]")) and not is_byte(token)


def is_byte(token: str) -> bool:
    """Whether a token is one byte of a letter, as SentencePiece writes what it has no unit for."""
    return _BYTE.fullmatch(token) is not None


def join(tokens: Iterable[str]) -> str:
    """The text of tokens: bytes put together, ▁ turned into single spaces."""
    text, pending = "", b""
    for token in tokens:
        if byte := _BYTE.fullmatch(token):
            pending += bytes([int(byte[1], 16)])
            continue
        text, pending = text + pending.decode("utf-8", "replace") + spelling(token), b""
    text += pending.decode("utf-8", "replace")
    return " ".join(text.replace(SPACE, " ").split())


def to_words(units: Sequence[Unit], tokens: Sequence[str], step_s: float) -> list[Word]:
    """Words of a sequence of units; a word ends where a token brings ▁. A lone ▁ belongs to no word.

    CTC emits a unit somewhere within its sound, often late and for one frame: times are good to about a syllable.
    """
    groups: list[list[Unit]] = [[]]
    for unit in units:
        token = tokens[unit.index]
        if token.startswith(SPACE):
            groups.append([])
        if token != SPACE:
            groups[-1].append(unit)
        if token.endswith(SPACE):
            groups.append([])
    words = [_word(group, tokens, step_s) for group in groups if group]
    return [word for word in words if word.text]


def _word(units: Sequence[Unit], tokens: Sequence[str], step_s: float) -> Word:
    return Word(
        join(tokens[unit.index] for unit in units),
        round(units[0].start * step_s, 3),
        round(units[-1].end * step_s, 3),
        round(math.exp(sum(unit.log_prob for unit in units) / len(units)), 4),
    )
