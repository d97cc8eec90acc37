"""Several claims at once: the chance that any of them is wrong stays below one level (Holm 1979)."""

from collections.abc import Callable, Sequence


def adjusted(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the given order: a claim holds at a level if its own is at most that level."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    result, greatest = [1.0] * len(p_values), 0.0
    for place, i in enumerate(order):
        greatest = max(greatest, min(1.0, (len(order) - place) * p_values[i]))
        result[i] = greatest
    return result


def holm_tails(holds: Callable[[int, float], bool], count: int, tail: float) -> list[float]:
    """The level that each of `count` one-sided claims is tested at, so that all hold but with probability `tail`.

    holds(i, level): whether claim i can be made at a level. The level is shared out evenly; what a claim that
    holds no longer needs, those that do not hold yet get.
    """
    tails, done = [tail / max(count, 1)] * count, set[int]()
    while new := {i for i in range(count) if i not in done and holds(i, tails[i])}:
        done |= new
        for i in set(range(count)) - done:
            tails[i] = tail / (count - len(done))
    return tails
