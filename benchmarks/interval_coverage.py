"""How often a 95 % interval of the error rate holds the truth: simulated speakers, few and many.

Each simulated test set draws speakers (their rates from a beta distribution), utterances of 2 to 7 words
and errors that cluster within utterances. Compared: kd.stats.error_interval, and the percentile bootstrap
over speakers. Run: python benchmarks/interval_coverage.py (2 minutes)
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kd.stats import error_interval

Floats = NDArray[np.float64]


class TestSet(NamedTuple):
    errors: Floats
    units: Floats
    speakers: list[str | None]


def simulate(
    num_speakers: int, rate: float, rng: np.random.Generator, per_speaker: tuple[int, int] = (10, 40)
) -> TestSet:
    """A test set of speakers whose rates have mean `rate` and a standard deviation of 0.6 times that."""
    concentration = rate * (1 - rate) / (0.6 * rate) ** 2 - 1
    rates = np.clip(rng.beta(rate * concentration, (1 - rate) * concentration, num_speakers), 1e-6, 1 - 1e-6)
    speaker_N = np.repeat(np.arange(num_speakers), rng.integers(*per_speaker, num_speakers, endpoint=True))
    units_N = rng.integers(2, 7, len(speaker_N), endpoint=True)
    rate_N = rng.beta(2 * rates[speaker_N], 2 * (1 - rates[speaker_N]))
    errors_N = rng.binomial(units_N, rate_N)
    return TestSet(errors_N.astype(float), units_N.astype(float), [str(s) for s in speaker_N])


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


def main() -> None:
    runs = 500
    print(f"share of {runs} simulated test sets whose 95 % interval holds the true error rate")
    print(f"{'rate':>6} {'speakers':>9} {'jackknife':>10} {'bootstrap':>10}")
    for rate in (0.005, 0.05, 0.2):
        for num_speakers in (2, 3, 6, 10, 25, 50, 100):
            ours, theirs = coverage(num_speakers, rate, runs)
            print(f"{rate:6.3f} {num_speakers:9d} {ours:10.3f} {theirs:10.3f}", flush=True)


if __name__ == "__main__":
    main()
