"""Noise of a colour, and how loud samples are. Legend: N samples, K bins of a spectrum above the lowest.

What training adds to batches is drawn by torch, in float32 and on the batch's device (`kd.audio.augment.add_noise`).
"""

import numpy as np
import scipy  # its parts are imported where they are first used
from numpy.typing import NDArray

Samples64 = NDArray[np.float64]
"""Samples in double precision; the runtime's `Samples` are float32."""


def coloured_noise(num_samples: int, slope: float, rng: np.random.Generator, *, fast: bool = False) -> Samples64:
    """Gaussian noise without an offset whose power falls as 1 / frequency**slope: 0 white, 1 pink, 2 brown.

    Its level is whatever was drawn. fast: it is cut out of a stretch of a length that is quick to transform, so that
    a little of an offset may be left.
    """
    drawn = scipy.fft.next_fast_len(num_samples, real=True) if fast else num_samples
    spectrum = np.fft.rfft(rng.standard_normal(drawn))
    spectrum[:1] = 0
    spectrum[1:] *= _amplitudes(len(spectrum) - 1, slope)
    return np.fft.irfft(spectrum, drawn)[:num_samples]


def rms(samples_N: Samples64) -> float:
    """Root mean square; 0 of nothing."""
    return float(np.sqrt(np.mean(np.square(samples_N)))) if len(samples_N) else 0.0


def _amplitudes(count: int, slope: float) -> Samples64:
    """Of pink noise by square roots: a power rounds otherwise, and what was drawn before would change."""
    frequencies_K = np.arange(1, count + 1, dtype=np.float64)
    return 1 / np.sqrt(frequencies_K) if slope == 1 else frequencies_K ** (-slope / 2)
