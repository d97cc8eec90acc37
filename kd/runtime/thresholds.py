"""Thresholds and curves of keyword spotting: misses against false alarms an hour."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


def threshold_for(false_scores: Sequence[float], hours: float, per_hour: float) -> float:
    """The lowest threshold at which these scores of false alarms give at most `per_hour`.

    Scores that reach the threshold count. Infinite where there is no audio to tell by.
    """
    if hours <= 0:
        return math.inf
    allowed = math.floor(per_hour * hours + 1e-9)
    ranked = sorted(false_scores, reverse=True)
    return math.nextafter(ranked[allowed], math.inf) if allowed < len(ranked) else -math.inf


@dataclass(frozen=True)
class Point:
    """Share of spoken phrases that are missed, and false alarms, at one threshold (nats a letter, at most 0)."""

    threshold: float
    miss_share: float
    false_alarms_per_hour: float


def curve(true_scores: Sequence[float], num_spoken: int, false_scores: Sequence[float], hours: float) -> list[Point]:
    """Misses and false alarms at each threshold that changes either, from the strictest on.

    true_scores: of the hits on phrases that were spoken; what was spoken `num_spoken` times and not hit is missed.
    """
    if num_spoken < max(1, len(true_scores)) or hours <= 0:
        raise ValueError(
            f"{len(true_scores)} hits on {num_spoken} spoken phrases in {hours:g} hours: expected at least as many "
            "spoken as hit, at least one, and some audio"
        )
    points = [Point(math.inf, 1.0, 0.0)]
    for threshold in sorted({*true_scores, *false_scores}, reverse=True):
        hits = sum(score >= threshold for score in true_scores)
        alarms = sum(score >= threshold for score in false_scores)
        points.append(Point(threshold, 1 - hits / num_spoken, alarms / hours))
    return points
