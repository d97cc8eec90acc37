"""Change of the sample rate by a polyphase sinc filter in numpy, over audio that comes whole or piece by piece.

With L / M the two rates' ratio in lowest terms, output n lies at input position n M / L. Its weights are a sinc, cut
off below the lower Nyquist frequency, under a Kaiser window; there are L sets of them. Up to 0.9 of that frequency the
gain is one within 0.02 dB, and from 1.01 on 90 dB are taken away, much as soxr does it, by which training audio is
resampled: tests/kd/runtime/test_resample.py.
"""

from math import gcd

import numpy as np
import numpy.typing as npt

HALF_CROSSINGS = 80
CUTOFF = 0.957
BETA = 10.0
OUTPUTS_AT_ONCE = 16_384

Samples = npt.NDArray[np.float32]


class Resampler:
    """Samples at one rate to samples at another."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        divisor = gcd(from_hz, to_hz)
        self.up, self.down = to_hz // divisor, from_hz // divisor
        self._identity = from_hz == to_hz
        stretch = max(1.0, from_hz / to_hz)  # input samples between the sinc's zeros
        self._half = int(np.ceil(HALF_CROSSINGS * stretch))
        taps = np.arange(1 - self._half, self._half + 1)
        offsets_LK = taps - (np.arange(self.up)[:, None] / self.up)
        scaled_LK = offsets_LK / (HALF_CROSSINGS * stretch)
        window_LK = np.i0(BETA * np.sqrt(np.clip(1 - scaled_LK**2, 0, None))) / np.i0(BETA)
        weights_LK = np.sinc(offsets_LK * CUTOFF / stretch) * np.where(np.abs(scaled_LK) < 1, window_LK, 0.0)
        self._weights_LK = (weights_LK / weights_LK.sum(axis=1, keepdims=True)).astype(np.float32)
        self._held_N = np.zeros(self._half - 1, np.float32)
        self._first = 1 - self._half  # input position of the first sample held
        self._heard = 0
        self._made = 0

    def push(self, samples_N: Samples, last: bool = False) -> Samples:
        """The outputs that these samples complete; with `last`, all that are left."""
        if self._identity:
            return samples_N
        self._heard += len(samples_N)
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
        return (self._heard * self.up + self.down // 2) // self.down

    def _complete(self) -> int:
        """Outputs whose weights end within what was heard: input positions up to heard - half - 1."""
        return max(0, ((self._heard - self._half) * self.up - 1) // self.down + 1)

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


def resample(samples_N: Samples, from_hz: int, to_hz: int) -> Samples:
    """Samples at another rate."""
    return Resampler(from_hz, to_hz).push(samples_N, last=True)
