"""Which of our units each of another recogniser's characters is. Without torch, since parameters are checked by it.

Legend: W units of the other; 0 = CTC's blank, in both.
"""

from collections.abc import Sequence
from dataclasses import dataclass

WORD_BREAK, SPACE = "|", " "
NOWHERE = -1


@dataclass(frozen=True)
class UnitMap:
    """places_W: for each unit of the other the index of ours, or NOWHERE where we have none; num_units: ours."""

    places_W: tuple[int, ...]
    num_units: int


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


def unmapped(labels: Sequence[str], units: UnitMap) -> list[str]:
    """The labels that we have no unit for."""
    return [label for label, place in zip(labels, units.places_W, strict=True) if place == NOWHERE]


def _place(label: str, ours: dict[str, int]) -> int:
    if label == WORD_BREAK and label not in ours:
        return ours.get(SPACE, 0)
    return next((ours[form] for form in (label, label.lower(), label.upper()) if form in ours), NOWHERE)
