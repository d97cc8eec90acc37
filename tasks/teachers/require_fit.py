"""What a model that is taken over must have in common with this pipeline, said in one line where it has not."""

from collections.abc import Iterable, Sequence
from typing import Any


def require_fit(place: str, pairs: Iterable[tuple[str, Any, Any]], remedy: str) -> None:
    """Raises ValueError at the first of `(its units differ, found, expected)` whose found is not what is expected.

    Of sequences, such as vocabularies, it says their lengths and the first difference, not all that is in them.
    """
    for what, found, expected in pairs:
        if found != expected:
            raise ValueError(f"{place}: {what}: {difference(found, expected)}. {remedy}")


def difference(found: Any, expected: Any) -> str:
    """Two unequal values in one line: `1000 found, 28 expected, the first difference at 3: '▁the' for 'a'`."""
    if not isinstance(found, Sequence) or isinstance(found, str):
        return f"{found} found, {expected} expected"
    shared = min(len(found), len(expected))
    place = next((i for i in range(shared) if found[i] != expected[i]), shared)
    one, other = (repr(values[place]) if place < len(values) else "nothing" for values in (found, expected))
    return f"{len(found)} found, {len(expected)} expected, the first difference at {place}: {one} for {other}"
