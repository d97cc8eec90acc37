"""Of utterances that only one of two models gets right, are there more of one kind? McNemar's test, exact."""

from collections.abc import Sequence
from dataclasses import dataclass

from kd.stats.tails import sign_test


@dataclass(frozen=True)
class Discordant:
    """Utterances that only this model got wrong, and those that only the other did; two-sided p."""

    only_this: int
    only_other: int
    p: float


def mcnemar(errors_N: Sequence[float], other_errors_N: Sequence[float]) -> Discordant:
    """Two-sided exact p of equal chances (McNemar 1947, in its binomial form); 1 where they never disagree.

    It takes utterances for independent of each other, which those of one speaker are not.
    """
    pairs = [(error > 0, other > 0) for error, other in zip(errors_N, other_errors_N, strict=True)]
    this, other = pairs.count((True, False)), pairs.count((False, True))
    return Discordant(this, other, sign_test(this, other) if this + other else 1.0)
