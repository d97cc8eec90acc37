"""The difference of two models' error rates on the same utterances, and how far it may be off for new speakers.

Legend: N utterances, S speakers (or other independent blocks), R seeds, K sets of speakers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kd.stats.blocks import Array, blocks_of, checked, jackknife_error, sums
from kd.stats.limits import FEW_SPEAKERS
from kd.stats.tails import t_above


@dataclass(frozen=True, eq=False)
class Difference:
    """Error rate of one model minus another's, with one-sided bounds at any level.

    estimate: Σ (errors − other errors) ÷ Σ units. method: how the bounds are made, and from what.
    spread: standard error by the jackknife over speakers, and at least that over single utterances.
    """

    estimate: float
    num_speakers: int
    num_utterances: int
    method: str
    spread: float
    utterance_spread: float
    set_ratios_K: Array | None

    @classmethod
    def of(
        cls,
        errors_N: Sequence[float],
        other_errors_N: Sequence[float],
        units_N: Sequence[float],
        speakers_N: Sequence[str | None],
    ) -> "Difference":
        """From errors per utterance; an utterance whose speaker is None counts as a speaker of its own.

        Errors need not be whole: of several seeds, give their `average_seeds`. Raises ValueError where columns
        differ in length or nothing was measured.
        """
        errors, units = checked(errors_N, units_N, speakers_N)
        others, _ = checked(other_errors_N, units_N, speakers_N)
        block_N, what = blocks_of(speakers_N)
        more_N = errors - others
        more_S, units_S = sums(more_N, block_N), sums(units, block_N)
        alone = what.endswith("of one speaker") and len(errors) > 0 and speakers_N[0] is not None
        num_speakers = 1 if alone else len(more_S)
        few = num_speakers <= FEW_SPEAKERS
        over_utterances = jackknife_error(more_N, units)
        return cls(
            estimate=float(more_N.sum() / units.sum()),
            num_speakers=num_speakers,
            num_utterances=len(errors),
            method=f"{'sign flips' if few else 'jackknife'} over {'1 speaker' if alone else what}",
            spread=max(jackknife_error(more_S, units_S), over_utterances),
            utterance_spread=over_utterances,
            set_ratios_K=_ratios_of_sets(more_S, units_S) if few and not alone else None,
        )

    def upper(self, tail: float) -> float:
        """Bound that the true difference exceeds with probability `tail` at most; inf where no bound can be given."""
        return self.estimate + self._reach(tail, 1)

    def lower(self, tail: float) -> float:
        """Bound that the true difference falls short of with probability `tail` at most; -inf where there is none."""
        return self.estimate - self._reach(tail, -1)

    def _reach(self, tail: float, side: int) -> float:
        """How far the bound lies from the estimate.

        - Few speakers: the differences δ that flipping the signs of the speakers' (errors − other errors − δ · units)
          in all 2**S ways does not refute. Exact where these are symmetrical about 0; with S speakers no level
          below 2**−S can be reached. δ is refuted where too few sets of speakers have a ratio beyond it, so that
          the bound is one of the sets' ratios (the typical values of Hartigan 1969).
        - Else t(S − 1) times the jackknife's error.
        - Never less than if all utterances were independent; and where no spread is seen at all, the exact
          binomial bound of none in N utterances, as if one that differs could differ throughout.
        """
        refuting = int(tail * 2.0 ** min(self.num_speakers, FEW_SPEAKERS + 1) * (1 + 1e-9))
        if self.num_speakers == 1 or (self.num_speakers <= FEW_SPEAKERS and refuting == 0):
            return np.inf
        if self.spread == 0:
            return float(1 - tail ** (1 / self.num_utterances))
        if self.set_ratios_K is None:
            return t_above(tail, self.num_speakers - 1) * self.spread
        at_least = t_above(tail, self.num_utterances - 1) * self.utterance_spread
        beyond_K = np.nan_to_num(side * (self.set_ratios_K - self.estimate), nan=np.inf)
        return max(float(np.sort(beyond_K)[-refuting]), at_least)


def average_seeds(errors_RN: Sequence[Sequence[float]]) -> list[float]:
    """Errors of one kind of model on each utterance, mean over its seeds: what `Difference` takes of several.

    Seeds are no further speakers, so they may not widen the sample: averaged first, they only steady it.
    """
    lengths = {len(errors_N) for errors_N in errors_RN}
    if len(lengths) != 1:
        raise ValueError(
            f"{len(errors_RN)} seeds with {sorted(lengths)} utterances: give at least one seed, and the same for each"
        )
    averages: list[float] = np.mean(np.asarray(errors_RN, float), axis=0).tolist()
    return averages


def _ratios_of_sets(more_S: Array, units_S: Array) -> Array:
    """Σ more ÷ Σ units of every set of speakers but the empty one; nan where a set has no units."""
    count = len(more_S)
    chosen_KS = (np.arange(1, 2**count)[:, None] >> np.arange(count)) & 1
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios_K: Array = np.where(chosen_KS @ units_S > 0, (chosen_KS @ more_S) / (chosen_KS @ units_S), np.nan)
    return ratios_K
