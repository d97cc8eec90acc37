"""Change of the sample rate by a polyphase sinc filter in numpy, over audio that comes whole or piece by piece.

With L / M the two rates' ratio in lowest terms, output n lies at input position n M / L. Its weights are a sinc, cut
off below the lower Nyquist frequency, under a Kaiser window; there are L sets of them. Up to 0.9 of that frequency the
gain is one within 0.02 dB, and from 1.01 on 90 dB are taken away, much as soxr does it:
tests/kd/runtime/test_resample.py.

Rates with hardly a common divisor, such as 44,101 and 16,000 Hz, would need a table of millions of weights. The nearest
ratio with a smaller table stands for theirs, which is off by less than 1e-5.
"""

from fractions import Fraction
from functools import lru_cache

import numpy as np
import numpy.typing as npt

HALF_CROSSINGS = 80
CUTOFF = 0.957
BETA = 10.0
OUTPUTS_AT_ONCE = 16_384
MOST_WEIGHTS = 300_000

Samples = npt.NDArray[np.float32]


class Resampler:
    """Samples at one rate to samples at another."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        if not (from_hz > 0 and to_hz > 0):
            raise ValueError(f"from {from_hz} to {to_hz} Hz: expected rates above 0")
        self.up, self.down = ratio(from_hz, to_hz)
        self._identity = from_hz == to_hz
        self._weights_LK = weights(self.up, self.down)
        self._half: int = self._weights_LK.shape[1] // 2
        self._held_N = np.zeros(self._half - 1, np.float32)
        self._first = 1 - self._half  # input position of the first sample held
        self._num_samples = 0
        self._made = 0

    def push(self, samples_N: Samples, last: bool = False) -> Samples:
        """The outputs that these samples complete; with `last`, all that are left."""
        if self._identity:
            return samples_N
        self._num_samples += len(samples_N)
        tail = self._half if last else 0
        self._held_N = np.concatenate([self._held_N, samples_N, np.zeros(tail, np.float32)])
        until = self._total() if last else self._complete()
        made = [np.zeros(0, np.float32)]
        while self._made < until:
            made.append(self._outputs(self._made, min(until, self._made + OUTPUTS_AT_ONCE)))
            self._made += len(made[-1])
        self._forget()
        return np.concatenate(made)

    def _total(self) -> int:
        """Outputs of the whole audio: the same duration, rounded to the nearest sample."""
        return (self._num_samples * self.up + self.down // 2) // self.down

    def _complete(self) -> int:
        """Outputs whose weights end within the input so far: input positions up to num_samples - half - 1."""
        return max(0, ((self._num_samples - self._half) * self.up - 1) // self.down + 1)

    def _outputs(self, first: int, until: int) -> Samples:
        made_N = np.empty(until - first, np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(self._held_N, self._weights_LK.shape[1])
        for phase in range(min(self.up, until - first)):
            output = first + phase
            start = output * self.down // self.up - self._half + 1 - self._first
            count = -(-(until - output) // self.up)
            rows_NK = windows[start : start + (count - 1) * self.down + 1 : self.down]
            made_N[phase :: self.up] = rows_NK @ self._weights_LK[output * self.down % self.up]
        return made_N

    def _forget(self) -> None:
        needed = self._made * self.down // self.up - self._half + 1
        self._held_N = self._held_N[max(0, needed - self._first) :]
        self._first = max(self._first, needed)


def ratio(from_hz: int, to_hz: int) -> tuple[int, int]:
    """(L, M) with L sets of weights."""
    taps = 2 * HALF_CROSSINGS * max(1.0, from_hz / to_hz)
    exact = Fraction(to_hz, from_hz)
    most = max(1, int(MOST_WEIGHTS / taps))
    if exact.numerator <= most:
        return exact.numerator, exact.denominator
    near = (1 / exact).limit_denominator(most)
    return near.denominator, near.numerator


@lru_cache(maxsize=8)
def weights(up: int, down: int) -> Samples:
    """(L, K): a set of weights for each phase."""
    stretch = max(1.0, down / up)  # input samples between the sinc's zeros
    half = int(np.ceil(HALF_CROSSINGS * stretch))
    taps = np.arange(1 - half, half + 1)
    offsets_LK = taps - (np.arange(up)[:, None] / up)
    scaled_LK = offsets_LK / (HALF_CROSSINGS * stretch)
    window_LK = np.i0(BETA * np.sqrt(np.clip(1 - scaled_LK**2, 0, None))) / np.i0(BETA)
    weights_LK = np.sinc(offsets_LK * CUTOFF / stretch) * np.where(np.abs(scaled_LK) < 1, window_LK, 0.0)
    return np.asarray(weights_LK / weights_LK.sum(axis=1, keepdims=True), np.float32)


def resample(samples_N: Samples, from_hz: int, to_hz: int) -> Samples:
    """Samples at another rate."""
    return Resampler(from_hz, to_hz).push(samples_N, last=True)
