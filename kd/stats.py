"""Intervals of error rates over speakers. Legend: N utterances, S speakers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]


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
      independent and a wrong one could be wrong throughout.
    A bootstrap over speakers covers less, however many they are: benchmarks/interval_coverage.py.

    With one speaker the utterances are the blocks: such an interval speaks of that speaker alone. An
    utterance whose speaker is None counts as a speaker of its own. A rate up to 1 gets an upper end of at
    most 1. Raises ValueError when nothing was measured.
    """
    errors, units = _checked(errors_N, units_N, speakers_N)
    block_N, what = _blocks(speakers_N)
    rate, spread = _ratio_and_spread(errors, units, block_N)
    if spread == 0:
        wrong = rate * len(errors) if rate <= 1 else len(errors)
        low, high = _clopper_pearson(wrong, len(errors), confidence)
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
    errors, units = _checked(errors_N, units_N, speakers_N)
    others, _ = _checked(other_errors_N, units_N, speakers_N)
    block_N, what = _blocks(speakers_N)
    difference, spread = _ratio_and_spread(errors - others, units, block_N)
    if spread == 0:
        _, bound = _clopper_pearson(0, len(errors), confidence)
        return Interval(difference, difference - bound, difference + bound, "exact binomial over utterances")
    reach = float(_t_quantile(block_N, confidence) * spread)
    return Interval(difference, difference - reach, difference + reach, f"jackknife over {what}")


def _checked(
    errors_N: Sequence[float], units_N: Sequence[float], speakers_N: Sequence[str | None]
) -> tuple[Array, Array]:
    errors, units = np.asarray(errors_N, float), np.asarray(units_N, float)
    if not len(errors) == len(units) == len(speakers_N):
        raise ValueError(f"{len(errors)} errors, {len(units)} units and {len(speakers_N)} speakers: one each is needed")
    if units.sum() <= 0:
        raise ValueError("an interval needs references, and these hold no unit. Is the split empty?")
    return errors, units


def _blocks(speakers_N: Sequence[str | None]) -> tuple[NDArray[np.intp], str]:
    """The independent block of each utterance, and what a block is."""
    keys = [f"utterance {i}" if s is None else f"speaker {s}" for i, s in enumerate(speakers_N)]
    names, block_N = np.unique(keys, return_inverse=True)
    if len(names) == 1:
        return np.arange(len(keys)), "utterances of one speaker"
    known = any(s is not None for s in speakers_N)
    return block_N, f"{len(names)} {'speakers' if known else 'utterances of unknown speakers'}"


def _ratio_and_spread(top_N: Array, units_N: Array, block_N: NDArray[np.intp]) -> tuple[float, float]:
    """Σ top ÷ Σ units and its standard error: over blocks, and at least that over single utterances."""
    over_blocks = _jackknife_error(_sums(top_N, block_N), _sums(units_N, block_N))
    return float(top_N.sum() / units_N.sum()), max(over_blocks, _jackknife_error(top_N, units_N))


def _sums(values_N: Array, block_N: NDArray[np.intp]) -> Array:
    return np.bincount(block_N, values_N).astype(float)


def _jackknife_error(top_S: Array, units_S: Array) -> float:
    """Standard error of Σ top ÷ Σ units from leaving out one block at a time; 0 with a single block."""
    count = len(top_S)
    rest_S = units_S.sum() - units_S
    if count < 2 or (rest_S <= 0).any():
        return 0.0
    without_S = (top_S.sum() - top_S) / rest_S
    error = float(np.sqrt((count - 1) / count * np.square(without_S - without_S.mean()).sum()))
    return error if error > 1e-12 else 0.0


def _t_quantile(block_N: NDArray[np.intp], confidence: float) -> float:
    return float(stats.t.ppf(0.5 + confidence / 2, max(int(block_N.max()), 1)))


def _clopper_pearson(wrong: float, count: int, confidence: float) -> tuple[float, float]:
    """Exact binomial interval of `wrong` out of `count` (Clopper & Pearson 1934)."""
    tail = (1 - confidence) / 2
    low = float(stats.beta.ppf(tail, wrong, count - wrong + 1)) if wrong > 0 else 0.0
    high = float(stats.beta.isf(tail, wrong + 1, count - wrong)) if wrong < count else 1.0
    return low, high
