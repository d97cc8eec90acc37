"""The threshold of keyword spotting that a rate of false alarms allows."""

import math
from collections.abc import Sequence


def threshold_for(false_scores: Sequence[float], hours: float, per_hour: float) -> float:
    """The lowest threshold at which these scores of false alarms give at most `per_hour`.

    Scores that reach the threshold count. Infinite where there is no audio to tell by.
    """
    if hours <= 0:
        return math.inf
    allowed = math.floor(per_hour * hours + 1e-9)
    ranked = sorted(false_scores, reverse=True)
    return math.nextafter(ranked[allowed], math.inf) if allowed < len(ranked) else -math.inf
