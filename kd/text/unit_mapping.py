"""Which of our units each of another recogniser's units is. Without torch, since parameters are checked by it.

Legend: W units of the other; 0 = CTC's blank among ours, and among a bundle's labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kd.runtime.words import SPACE as SPACE_SIGN
from kd.text.pieces import is_no_piece
from kd.text.token_table import WORD_BREAK, TokenTable

SPACE = " "
NOWHERE = -1


@dataclass(frozen=True)
class UnitMap:
    """places_W: for each unit of the other the index of ours, or NOWHERE where we have none; num_units: ours."""

    places_W: tuple[int, ...]
    num_units: int

    @property
    def one_to_one(self) -> bool:
        """Whether ours are the other's, in another order at most."""
        return sorted(self.places_W) == list(range(self.num_units))


def map_units(labels: Sequence[str], tokens: Sequence[str]) -> UnitMap:
    """The map from a recogniser's labels to our characters, each with its blank first.

    A label is our character as it is, else in the other case; `|` is a space, or silence where we write no spaces.
    Several labels may be one of ours. Raises ValueError naming characters of ours that the other never says.
    """
    ours = {token: index for index, token in enumerate(tokens) if index}
    places = [0, *(_place(label, ours) for label in labels[1:])]
    if unsaid := [token for token, index in ours.items() if index not in places]:
        raise ValueError(
            f"it never says {', '.join(map(repr, unsaid))}, of which we have a unit; its own are "
            f"{' '.join(labels[1:])}. Remove them from problem.units.alphabet, or use output: text, which students "
            "match by hypotheses"
        )
    return UnitMap(tuple(places), len(tokens))


def map_tokens(table: TokenTable, tokens: Sequence[str]) -> UnitMap:
    """The map from a table's tokens to our units, the blank first: each as it is, else in the other case.

    Raises ValueError where pieces of words meet units that are none, and for units of ours that it never says.
    """
    ours = {token.replace(SPACE, SPACE_SIGN): index for index, token in enumerate(tokens) if index}
    plain_W = table.plain_W
    places = [0 if w == table.blank else _any_case(token, ours) for w, token in enumerate(plain_W)]
    lost = [token for token, place in zip(plain_W, places, strict=True) if place == NOWHERE and not is_no_piece(token)]
    if pieces := [token for token in lost if len(token) > 1]:
        raise ValueError(
            f"it writes pieces of words such as {pieces[0]!r}, of which {len(pieces)} are no units of ours: take its "
            "tokens over with problem.units: {kind: tokens, file: …}, or use output: text, which students match by "
            "hypotheses"
        )
    if unsaid := [token for token, index in ours.items() if index not in places]:
        raise ValueError(
            f"it never says {', '.join(map(repr, unsaid[:5]))}, of which we have a unit. Remove what it lacks from "
            "problem.units.alphabet, take its tokens over with problem.units: {kind: tokens, file: …}, or use output: "
            "text, which students match by hypotheses"
        )
    return UnitMap(tuple(places), len(tokens))


def unmapped(labels: Sequence[str], units: UnitMap) -> list[str]:
    """The labels that we have no unit for."""
    return [label for label, place in zip(labels, units.places_W, strict=True) if place == NOWHERE]


def _place(label: str, ours: dict[str, int]) -> int:
    if label == WORD_BREAK and label not in ours:
        return ours.get(SPACE, 0)
    return _any_case(label, ours)


def _any_case(label: str, ours: dict[str, int]) -> int:
    return next((ours[form] for form in (label, label.lower(), label.upper()) if form in ours), NOWHERE)
