"""Intervals of error rates over speakers. Legend: N utterances, S speakers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kd.stats.blocks import blocks_of, checked, ratio_and_spread
from kd.stats.tails import clopper_pearson, t_above


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval, and how it was made."""

    estimate: float
    low: float
    high: float
    method: str


def error_interval(
    errors_N: Sequence[float],
    units_N: Sequence[float],
    speakers_N: Sequence[str | None],
    *,
    confidence: float = 0.95,
) -> Interval:
    """Interval of the pooled error rate Σ errors ÷ Σ units for new speakers of the same kind.

    Speakers, not utterances, are drawn anew: a jackknife that leaves out one speaker at a time gives the
    standard error (Tukey 1958), and log(rate) ± t(S − 1) · error ÷ rate the interval; the log because
    error rates are skewed. Two guards keep it honest when speakers are few or errors rare:
    - it is never narrower than if all utterances were independent, however alike the speakers seem;
    - where no spread is seen at all (no error, everything wrong, a single utterance) it is widened to the
      exact binomial interval (Clopper–Pearson) of the share of wrong utterances, as if these were
      independent and a wrong one could be wrong throughout. An utterance without a unit does not count.
    A bootstrap over speakers covers less, however many they are: benchmarks/interval_coverage.py.

    With one speaker the utterances are the blocks: such an interval speaks of that speaker alone. An
    utterance whose speaker is None counts as a speaker of its own. A rate up to 1 gets an upper end of at
    most 1. Raises ValueError when nothing was measured.
    """
    errors, units = checked(errors_N, units_N, speakers_N)
    block_N, what = blocks_of(speakers_N)
    rate, spread = ratio_and_spread(errors, units, block_N)
    if spread == 0:
        count = _telling(errors, units)
        low, high = clopper_pearson(min(rate, 1.0) * count, count, (1 - confidence) / 2)
        return Interval(rate, min(low, rate), max(high, rate), "exact binomial over utterances")
    with np.errstate(over="ignore"):
        factor = np.exp(_t_quantile(block_N, confidence) * spread / rate)
    high = rate * factor if rate > 1 else min(rate * factor, 1.0)
    return Interval(rate, float(rate / factor), float(high), f"jackknife over {what}")


def paired_interval(
    errors_N: Sequence[float],
    other_errors_N: Sequence[float],
    units_N: Sequence[float],
    speakers_N: Sequence[str | None],
    *,
    confidence: float = 0.95,
) -> Interval:
    """Interval of one model's error rate minus another's on the same utterances, over speakers.

    As `error_interval`, but without the log, since a difference has either sign: difference ± t(S − 1) ·
    error. Below zero throughout means that the first model is better.
    """
    errors, units = checked(errors_N, units_N, speakers_N)
    others, _ = checked(other_errors_N, units_N, speakers_N)
    block_N, what = blocks_of(speakers_N)
    difference, spread = ratio_and_spread(errors - others, units, block_N)
    if spread == 0:
        _, bound = clopper_pearson(0, _telling(errors - others, units), (1 - confidence) / 2)
        return Interval(difference, difference - bound, difference + bound, "exact binomial over utterances")
    reach = float(_t_quantile(block_N, confidence) * spread)
    return Interval(difference, difference - reach, difference + reach, f"jackknife over {what}")


def _telling(errors_N: NDArray[np.float64], units_N: NDArray[np.float64]) -> int:
    """Utterances in which something could go wrong: one without a unit and without an error is no evidence."""
    return int(((units_N > 0) | (errors_N != 0)).sum())


def _t_quantile(block_N: NDArray[np.intp], confidence: float) -> float:
    return t_above((1 - confidence) / 2, max(int(block_N.max()), 1))
