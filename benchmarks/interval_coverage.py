"""How often intervals and claims are right: simulated speakers, few and many.

Each simulated test set draws speakers (their rates from a beta distribution), utterances of 2 to 7 words
and errors that cluster within utterances. Printed are

- the share of 95 % intervals that hold the true error rate: kd.stats.error_interval and the percentile
  bootstrap over speakers;
- the share of 95 % intervals that hold the true difference of two models: kd.stats.Difference (sign flips up to
  12 speakers, then the jackknife with t), and t for any number (kd.stats.paired_interval);
- the share of test sets where any of several claims of kd.stats.judge is false, at the differences where that is
  easiest: none, and just the margin.

Run: python benchmarks/interval_coverage.py (4 minutes)
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that it runs from a checkout, by its path alone

import numpy as np
from numpy.typing import NDArray

from kd.stats import Difference, error_interval, judge, paired_interval

Floats = NDArray[np.float64]
MARGIN = 0.01


class TestSet(NamedTuple):
    errors: Floats
    units: Floats
    speakers: list[str | None]


class Models(NamedTuple):
    """Errors of M models on the same utterances."""

    errors_MN: Floats
    units_N: Floats
    speakers: list[str | None]

    def difference(self, first: int, other: int) -> Difference:
        return Difference.of(self.errors_MN[first], self.errors_MN[other], self.units_N, self.speakers)


def simulate(
    num_speakers: int, rate: float, rng: np.random.Generator, per_speaker: tuple[int, int] = (10, 40)
) -> TestSet:
    """A test set of speakers whose rates have mean `rate` and a standard deviation of 0.6 times that."""
    rates = np.clip(_beta(rate, 0.6 * rate, num_speakers, rng), 1e-6, 1 - 1e-6)
    speaker_N = np.repeat(np.arange(num_speakers), rng.integers(*per_speaker, num_speakers, endpoint=True))
    units_N = rng.integers(2, 7, len(speaker_N), endpoint=True)
    rate_N = rng.beta(2 * rates[speaker_N], 2 * (1 - rates[speaker_N]))
    errors_N = rng.binomial(units_N, rate_N)
    return TestSet(errors_N.astype(float), units_N.astype(float), [str(s) for s in speaker_N])


def simulate_models(num_speakers: int, rates_M: Sequence[float], rng: np.random.Generator) -> Models:
    """Models of these mean rates, which find the same speakers hard, and each some more than the others do."""
    hard_S = rng.gamma(1 / 0.6**2, 0.6**2, num_speakers)
    speaker_N = np.repeat(np.arange(num_speakers), rng.integers(10, 40, num_speakers, endpoint=True))
    units_N = rng.integers(2, 7, len(speaker_N), endpoint=True)
    errors = []
    for rate in rates_M:
        own_S = rng.gamma(1 / 0.3**2, 0.3**2, num_speakers)
        errors.append(rng.binomial(units_N, np.minimum(rate * hard_S * own_S, 1.0)[speaker_N]))
    return Models(np.array(errors, float), units_N.astype(float), [str(s) for s in speaker_N])


def bootstrap(data: TestSet, rng: np.random.Generator, resamples: int = 1000) -> tuple[float, float]:
    """Percentile bootstrap over speakers: the interval that others report."""
    _, block_N = np.unique(data.speakers, return_inverse=True)
    errors_S, units_S = np.bincount(block_N, data.errors), np.bincount(block_N, data.units)
    drawn = rng.integers(0, len(units_S), (resamples, len(units_S)))
    low, high = np.quantile(errors_S[drawn].sum(1) / units_S[drawn].sum(1), [0.025, 0.975])
    return float(low), float(high)


def coverage(num_speakers: int, rate: float, runs: int, seed: int = 1) -> tuple[float, float]:
    """Share of runs whose interval holds the true rate: ours, and the bootstrap's."""
    rng = np.random.default_rng(seed)
    ours = theirs = 0
    for _ in range(runs):
        data = simulate(num_speakers, rate, rng)
        interval = error_interval(data.errors.tolist(), data.units.tolist(), data.speakers)
        ours += interval.low <= rate <= interval.high
        low, high = bootstrap(data, rng)
        theirs += low <= rate <= high
    return ours / runs, theirs / runs


def difference_coverage(num_speakers: int, rate: float, runs: int, seed: int = 1) -> tuple[float, float]:
    """Share of runs whose interval holds the true difference of MARGIN: Difference's, and t's."""
    rng = np.random.default_rng(seed)
    ours = students = 0
    for _ in range(runs):
        data = simulate_models(num_speakers, [rate + MARGIN, rate], rng)
        difference = data.difference(0, 1)
        ours += difference.lower(0.025) <= MARGIN <= difference.upper(0.025)
        interval = paired_interval(*data.errors_MN.tolist(), data.units_N.tolist(), data.speakers)
        students += interval.low <= MARGIN <= interval.high
    return ours / runs, students / runs


def false_claims(num_speakers: int, true_differences: Sequence[float], runs: int, seed: int = 1) -> float:
    """Share of runs in which any claim about models that differ so much from a common one is false."""
    rng = np.random.default_rng(seed)
    wrong = 0
    for _ in range(runs):
        data = simulate_models(num_speakers, [0.1, *(0.1 + more for more in true_differences)], rng)
        differences = [data.difference(i + 1, 0) for i in range(len(true_differences))]
        found = judge(differences, [MARGIN] * len(differences), 0.95)
        wrong += any(_is_false(one.claim, true) for one, true in zip(found, true_differences, strict=True))
    return wrong / runs


def _is_false(claim: str, true: float) -> bool:
    """At a difference of just the margin neither `not worse` nor `worse` is granted."""
    return {"better": true >= 0, "not worse": true >= MARGIN, "worse": true <= MARGIN}.get(claim, False)


def _beta(mean: float, deviation: float, count: int, rng: np.random.Generator) -> Floats:
    concentration = mean * (1 - mean) / deviation**2 - 1
    return rng.beta(mean * concentration, (1 - mean) * concentration, count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500, help="test sets simulated for each number")
    runs = parser.parse_args().runs
    print(f"share of {runs} simulated test sets whose 95 % interval holds the true error rate")
    print(f"{'rate':>6} {'speakers':>9} {'jackknife':>10} {'bootstrap':>10}")
    for rate in (0.005, 0.05, 0.2):
        for num_speakers in (2, 3, 6, 10, 25, 50, 100):
            ours, theirs = coverage(num_speakers, rate, runs)
            print(f"{rate:6.3f} {num_speakers:9d} {ours:10.3f} {theirs:10.3f}", flush=True)
    print(f"\nshare whose 95 % interval holds the true difference of {MARGIN:.0%} between two models")
    print(f"{'rate':>6} {'speakers':>9} {'Difference':>10} {'t':>10}")
    for rate in (0.005, 0.05, 0.2):
        for num_speakers in (3, 6, 8, 12, 13, 25, 50):
            ours, students = difference_coverage(num_speakers, rate, runs)
            print(f"{rate:6.3f} {num_speakers:9d} {ours:10.3f} {students:10.3f}", flush=True)
    print("\nshare with any false claim among several, at 95 % confidence")
    print(f"{'speakers':>9} {'8 equal':>10} {'8 at margin':>12} {'4 and 4':>10}")
    for num_speakers in (6, 9, 12, 24, 50):
        cases = ([0.0] * 8, [MARGIN] * 8, [0.0] * 4 + [MARGIN] * 4)
        shares = [false_claims(num_speakers, case, runs) for case in cases]
        print(f"{num_speakers:9d} {shares[0]:10.3f} {shares[1]:12.3f} {shares[2]:10.3f}", flush=True)


if __name__ == "__main__":
    main()
