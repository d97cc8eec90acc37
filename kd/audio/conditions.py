"""Audio under other conditions than it was recorded in. Legend: N samples, M samples of the result.

Each function leaves its input as it is; what is drawn comes from a given generator. All but `degrade` are blind
to full scale: it alone rounds to 16 bits and clips.
"""

from fractions import Fraction
from typing import assert_never

import numpy as np
import scipy  # its parts are imported where they are first used
from numpy.typing import NDArray

from kd.audio.noise import Samples64, coloured_noise, rms
from kd.audio.rooms import add_echoes, draw_echoes
from kd.config.conditions import Clipping, Condition, Level, Noise, Rate, Reverberation, Telephone

SLOPES = {"white": 0.0, "pink": 1.0}
FULL_SCALE = 32_768
TELEPHONE_RATE_HZ = 8_000
TELEPHONE_BAND_HZ = (300.0, 3_400.0)
MU = 255


def degrade(
    samples_N: NDArray[np.int16], sample_rate_hz: int, condition: Condition, rng: np.random.Generator
) -> NDArray[np.int16]:
    """16-bit audio under a condition, at the same rate, rounded and clipped; of another length under `rate` alone."""
    given_N = samples_N / FULL_SCALE
    if isinstance(condition, Noise):
        degraded_M = add_noise(given_N, condition, rng)
    elif isinstance(condition, Reverberation):
        degraded_M = reverberate(given_N, sample_rate_hz, condition, rng)
    elif isinstance(condition, Rate):
        degraded_M = change_rate(given_N, condition.factor)
    elif isinstance(condition, Level):
        degraded_M = given_N * min(10 ** (condition.gain_db / 20), max(1.0, _to_full_scale(given_N)))
    elif isinstance(condition, Clipping):
        degraded_M = given_N * _to_full_scale(given_N) * 10 ** (condition.over_db / 20)
    elif isinstance(condition, Telephone):
        degraded_M = telephone(given_N, sample_rate_hz)
    else:
        assert_never(condition)
    return np.clip(np.round(degraded_M * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def add_noise(samples_N: Samples64, noise: Noise, rng: np.random.Generator) -> Samples64:
    """Noise at this SNR in dB; powers are means over the utterance, pauses included. Silence stays silent."""
    drawn_N = coloured_noise(len(samples_N), SLOPES[noise.colour], rng)
    wanted = rms(samples_N) * 10 ** (-noise.snr_db / 20)
    return samples_N + drawn_N * (wanted / max(rms(drawn_N), np.finfo(float).tiny))


def reverberate(samples_N: Samples64, sample_rate_hz: int, room: Reverberation, rng: np.random.Generator) -> Samples64:
    """The sound and its echoes, at the same level as before."""
    echoes_K = draw_echoes(sample_rate_hz, room.rt60_s, rng)
    if not echoes_K.any():
        return samples_N
    wet_N = add_echoes(samples_N, echoes_K, room.direct_to_echo_db)
    return np.asarray(wet_N * (rms(samples_N) / max(rms(wet_N), np.finfo(float).tiny)))


def change_rate(samples_N: Samples64, factor: float) -> Samples64:
    """`factor` times as fast and high; the factor is rounded to hundredths."""
    ratio = Fraction(factor).limit_denominator(100)
    return np.asarray(scipy.signal.resample_poly(samples_N, ratio.denominator, ratio.numerator))


def telephone(samples_N: Samples64, sample_rate_hz: int) -> Samples64:
    """Through a telephone's band and its 8-bit μ-law code (ITU-T G.711, continuous form), and back."""
    ratio = Fraction(min(TELEPHONE_RATE_HZ, sample_rate_hz), sample_rate_hz)
    narrow_M = scipy.signal.resample_poly(samples_N, ratio.numerator, ratio.denominator)
    rate_hz = sample_rate_hz * ratio
    high_hz = min(TELEPHONE_BAND_HZ[1], 0.45 * float(rate_hz))
    band = scipy.signal.butter(4, (TELEPHONE_BAND_HZ[0], high_hz), "bandpass", fs=float(rate_hz), output="sos")
    coded_M = mu_law(np.clip(scipy.signal.sosfilt(band, narrow_M), -1, 1))
    wide = scipy.signal.resample_poly(coded_M, ratio.denominator, ratio.numerator)[: len(samples_N)]
    return np.pad(wide, (0, len(samples_N) - len(wide)))


def mu_law(samples_N: Samples64) -> Samples64:
    """Rounded to one of 255 levels, which lie closer together where it is quiet; within [-1, 1]."""
    pressed_N = np.sign(samples_N) * np.log1p(MU * np.abs(samples_N)) / np.log1p(MU)
    levels_N = np.round(pressed_N * (MU // 2)) / (MU // 2)
    return np.asarray(np.sign(levels_N) * np.expm1(np.abs(levels_N) * np.log1p(MU)) / MU)


def _to_full_scale(samples_N: Samples64) -> float:
    """The gain that brings the peak to full scale; 1 of silence."""
    peak = float(np.abs(samples_N).max(initial=0.0))
    return (FULL_SCALE - 1) / FULL_SCALE / peak if peak else 1.0
