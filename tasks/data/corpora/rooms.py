"""Room, noise and level: what lies between a clean voice and a microphone.

Legend: N samples.
"""

import numpy as np
import scipy  # its parts are imported where they are first used
from numpy.typing import NDArray

from tasks.params.corpora import RoomParams

Samples = NDArray[np.float64]

PEAK = 0.95  # of full scale: what is louder is made quieter, never clipped
_PAUSE_S = (0.1, 0.4)  # of room sound before and after the speech
_EARLIEST_ECHO_S = 0.003
_DIRECT_TO_ECHO_DB = (0.0, 12.0)
_NOISE_SLOPES = (0.0, 2.0)  # power falls as 1 / f**slope: from white to brown


def in_room(
    speech_N: Samples, sample_rate_hz: int, room: RoomParams, rng: np.random.Generator
) -> tuple[Samples, float | None]:
    """Speech as a far microphone records it, within [-PEAK, PEAK]; and its SNR in dB, or None without noise."""
    before, after = (int(s * sample_rate_hz) for s in rng.uniform(*_PAUSE_S, size=2))
    heard_N = np.pad(speech_N, (before, after))
    if rng.random() < room.reverb_share:
        heard_N = reverberate(heard_N, sample_rate_hz, rng.uniform(*room.rt60_s), rng)
    snr_db = None
    if rng.random() < room.noise_share:
        snr_db = float(rng.uniform(*room.snr_db))
        noise_N = coloured_noise(len(heard_N), rng.uniform(*_NOISE_SLOPES), rng)
        heard_N = heard_N + noise_N * rms(heard_N[before : before + len(speech_N)]) * 10 ** (-snr_db / 20)
    gain = 10 ** (rng.uniform(*room.level_dbfs) / 20) / rms(heard_N)
    return heard_N * min(gain, PEAK / np.abs(heard_N).max()), snr_db


def reverberate(dry_N: Samples, sample_rate_hz: int, rt60_s: float, rng: np.random.Generator) -> Samples:
    """`dry_N` followed by echoes: noise whose level falls by 60 dB in `rt60_s` seconds; same length.

    A statistical room (Polack 1988): no geometry, so early echoes have no direction or pattern.
    """
    times_s = np.arange(int(rt60_s * sample_rate_hz)) / sample_rate_hz
    echoes_M = rng.standard_normal(len(times_s)) * 10 ** (-3 * times_s / rt60_s) * (times_s >= _EARLIEST_ECHO_S)
    energy = float(np.square(echoes_M).sum())
    if energy == 0:
        return dry_N
    echoes_M *= np.sqrt(10 ** (-rng.uniform(*_DIRECT_TO_ECHO_DB) / 10) / energy)
    wet_N: Samples = dry_N + scipy.signal.fftconvolve(dry_N, echoes_M)[: len(dry_N)]
    return wet_N


def coloured_noise(num_samples: int, slope: float, rng: np.random.Generator) -> Samples:
    """Noise of root-mean-square 1 whose power falls as 1 / frequency**slope."""
    num_fast = scipy.fft.next_fast_len(num_samples, real=True)
    spectrum = np.fft.rfft(rng.standard_normal(num_fast))
    frequencies = np.arange(len(spectrum), dtype=np.float64)
    frequencies[0] = np.inf  # no offset
    noise_N = np.fft.irfft(spectrum * frequencies ** (-slope / 2), num_fast)[:num_samples]
    return noise_N / rms(noise_N)


def rms(samples_N: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples_N))))
