"""Better, not worse, worse, or too little data to tell: what may be claimed of several differences at once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from kd.stats.difference import Difference
from kd.stats.holm import holm_tails
from kd.stats.limits import least_speakers
from kd.stats.tails import t_above

Claim = Literal["better", "not worse", "worse", "too little data to tell"]
POWER = 0.8
MOST_SPEAKERS = 1_000_000


@dataclass(frozen=True)
class Judgement:
    """A claim about one difference, and the Holm-adjusted bounds it rests on.

    margin: the greatest difference that still counts as not worse. more_speakers: about how many further ones
    would settle it; None where it is settled, or where no number would.
    """

    claim: Claim
    estimate: float
    low: float
    high: float
    margin: float
    method: str
    more_speakers: int | None


def judge(differences: Sequence[Difference], margins: Sequence[float], confidence: float) -> list[Judgement]:
    """One judgement for each difference; all claims together are right with probability `confidence` at least.

    On the adjusted bounds, the first that is met: upper bound below 0, better; upper bound at most the margin, not
    worse; lower bound above the margin, worse; else too little data to tell. Upper and lower bounds are two
    families with half of the error each. In the upper one, "not worse" is asked of a comparison before "better"
    at the same level, and only "better" hands its level on: a graph of tests that holds however the
    comparisons depend on each other (Bretz et al. 2009, doi:10.1002/sim.3495).
    """
    if len(differences) != len(margins):
        raise ValueError(f"{len(differences)} differences and {len(margins)} margins: one each is needed")
    count, tail = len(differences), (1 - confidence) / 2
    upper_tails = holm_tails(lambda i, level: differences[i].upper(level) < 0, count, tail)
    lower_tails = holm_tails(lambda i, level: differences[i].lower(level) > margins[i], count, tail)
    return [
        _judgement(difference, margin, low_tail, high_tail)
        for difference, margin, low_tail, high_tail in zip(differences, margins, lower_tails, upper_tails, strict=True)
    ]


def _judgement(difference: Difference, margin: float, low_tail: float, high_tail: float) -> Judgement:
    low, high = difference.lower(low_tail), difference.upper(high_tail)
    claim: Claim
    if high < 0:
        claim = "better"
    elif high <= margin:
        claim = "not worse"
    elif low > margin:
        claim = "worse"
    else:
        claim = "too little data to tell"
    open_question = claim == "too little data to tell"
    more = _more_speakers(difference, margin, low_tail, high_tail) if open_question else None
    return Judgement(claim, difference.estimate, low, high, margin, difference.method, more)


def _more_speakers(difference: Difference, margin: float, low_tail: float, high_tail: float) -> int | None:
    """Further speakers of the same spread with which the claim is made four times in five, if the estimate is true."""
    gap, have = margin - difference.estimate, difference.num_speakers
    tail = high_tail if gap > 0 else low_tail

    def settled(speakers: int) -> bool:
        if speakers < least_speakers(tail):
            return False
        if difference.spread == 0:
            return 1 - math.pow(tail, have / (speakers * difference.num_utterances)) <= abs(gap)
        quantiles = t_above(tail, speakers - 1) + t_above(1 - POWER, speakers - 1)
        return bool(quantiles * difference.spread * math.sqrt(have / speakers) <= abs(gap))

    low, high = have, max(2 * have, 2)
    while not settled(high):
        low, high = high, 2 * high
        if high > MOST_SPEAKERS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if settled(middle) else (middle, high)
    return high - have
