"""Points that a distribution exceeds with a given probability.

From `scipy.special`: `scipy.stats` has them too, but takes half a second to import, in every stage that judges errors.
"""

from scipy import special


def t_above(tail: float, freedom: int) -> float:
    """Student's t of so many degrees of freedom lies above it with probability `tail`."""
    return -float(special.stdtrit(freedom, tail))


def normal_above(tail: float) -> float:
    """A standard normal variable lies above it with probability `tail`."""
    return -float(special.ndtri(tail))


def beyond_normal(z: float) -> float:
    """Probability that a standard normal variable lies farther from 0 than z, on either side."""
    return 2 * float(special.ndtr(-abs(z)))


def clopper_pearson(wrong: float, count: int, tail: float) -> tuple[float, float]:
    """Exact binomial bounds of `wrong` out of `count`, each missed with probability `tail` (Clopper & Pearson 1934)."""
    low = float(special.betaincinv(wrong, count - wrong + 1, tail)) if wrong > 0 else 0.0
    high = float(special.betainccinv(wrong + 1, count - wrong, tail)) if wrong < count else 1.0
    return low, high


def sign_test(first: int, second: int) -> float:
    """Two-sided exact p of equal chances, of two counts of which at least one is not 0."""
    return min(1.0, 2 * float(special.bdtr(min(first, second), first + second, 0.5)))
