"""Tables of tokens as sherpa-onnx, icefall, NeMo and WeNet write them, and the units that a student takes over.

Legend: W tokens of a table. The blank may stand anywhere in a table; among our units it is the first.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kd.runtime.words import SPACE
from kd.text.pieces import is_no_piece
from kd.text.vocabulary import BLANK_SYMBOL

BLANKS = ("<blk>", "<eps>", "<blank>")
"""What sherpa-onnx takes for CTC's blank, in its order."""
WORD_BREAK = "|"
"""Of wav2vec 2.0's labels and its kin's, between words."""
_LINE = re.compile(r"(.*?)[ \t]+(\d{1,9})\s*", re.ASCII)


@dataclass(frozen=True)
class TokenTable:
    """tokens_W: as they are written; blank: the index of CTC's; name: of the file, for errors."""

    tokens_W: tuple[str, ...]
    blank: int
    name: str

    def __len__(self) -> int:
        return len(self.tokens_W)

    @property
    def plain_W(self) -> tuple[str, ...]:
        """The tokens with one sign for a space, ▁, whatever it is in the table: ▁, a space or wav2vec 2.0's bar."""
        spaces = any(SPACE in token or token == " " for token in self.tokens_W)
        bar = WORD_BREAK if not spaces else " "
        return tuple(SPACE if token in (" ", bar) else token for token in self.tokens_W)


def parse_token_table(text: str, name: str) -> TokenTable:
    """From lines of `token index`, in any order.

    Raises ValueError, in one line, where indices are not 0, 1, 2 … once each, a token stands twice, or none is a blank.
    """
    found: dict[int, str] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        row = line.removesuffix("\r")
        if not row.strip():
            continue
        line_match = _LINE.fullmatch(row)
        if line_match is None:
            raise ValueError(f"{name}:{number}: '{row[:40]}' is no line of `token index`: use the model's tokens.txt")
        index = int(line_match[2])
        if index in found:
            raise ValueError(f"{name}:{number}: index {index} stands there twice: use the model's own tokens.txt")
        found[index] = line_match[1] or " "  # a token that is a space
    missing = next((i for i in range(len(found)) if i not in found), None)
    if missing is not None or not found:
        raise ValueError(
            f"{name}: no token has the index {missing or 0}, where 0 to {max(0, len(found) - 1)} were expected: use "
            "the model's own tokens.txt"
        )
    tokens = tuple(found[i] for i in range(len(found)))
    if twice := [token for token, count in Counter(tokens).items() if count > 1]:
        raise ValueError(f"{name}: '{twice[0]}' stands there twice: use the model's own tokens.txt")
    return TokenTable(tokens, _find_blank(tokens, name), name)


def take_over(table: TokenTable, alphabet: str) -> tuple[str, ...]:
    """Our units: CTC's blank, then the table's other tokens in their order.

    A table of capitals alone becomes small where the alphabet is, and the other way round. Raises ValueError where two
    tokens would become one, or a letter of the alphabet has no token.
    """
    case = _case(table, alphabet)
    units = [token if is_no_piece(token) else case(token) for i, token in enumerate(table.plain_W) if i != table.blank]
    if len(set(units)) < len(units):
        raise ValueError(f"{table.name}: two tokens are the same in small letters: write units.alphabet in capitals")
    letters = {unit for unit in units if len(unit) == 1}
    if (missing := [c for c in dict.fromkeys(alphabet) if c != " " and c not in letters]) and not _has_bytes(units):
        raise ValueError(
            f"{table.name}: no token is {', '.join(map(repr, missing))} alone: remove them from problem.units.alphabet"
        )
    if " " in alphabet and not any(unit.startswith(SPACE) for unit in units) and not _has_bytes(units):
        raise ValueError(
            f"{table.name}: no token is or begins with {SPACE}, so words would be joined: remove the space from "
            "problem.units.alphabet, or name a table that has one"
        )
    return (BLANK_SYMBOL, *units)


def _has_bytes(units: Sequence[str]) -> bool:
    return "<0x00>" in units


def _case(table: TokenTable, alphabet: str) -> Callable[[str], str]:
    """What brings the table's tokens to the alphabet's case, where each has one case alone and they differ."""
    written = "".join(token for token in table.tokens_W if not is_no_piece(token))
    if written.lower() != written == written.upper() and alphabet == alphabet.lower() != alphabet.upper():
        return str.lower
    if written.upper() != written == written.lower() and alphabet == alphabet.upper() != alphabet.lower():
        return str.upper
    return str


def _find_blank(tokens: Sequence[str], name: str) -> int:
    for blank in BLANKS:
        if blank in tokens:
            return tokens.index(blank)
    if is_no_piece(tokens[0]):  # omnilingual's <s>, wav2vec 2.0's <pad>
        return 0
    raise ValueError(
        f"{name}: none of its tokens is CTC's blank; expected {', '.join(BLANKS)}, or a mark such as <pad> as the "
        "first: is it the tokens.txt of a CTC model?"
    )
