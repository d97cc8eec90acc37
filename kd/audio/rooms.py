"""A statistical room: no geometry, so early echoes have no direction or pattern.

Polack's model of 1988, Gaussian noise that decays exponentially; Badeau 2018, "Unified Stochastic Reverberation
Modeling" (hal-01795319), places it among others.

Legend: N samples, K samples of the echoes.
"""

import numpy as np
import scipy  # its parts are imported where they are first used

from kd.audio.noise import Samples64

EARLIEST_ECHO_S = 0.003


def draw_echoes(sample_rate_hz: int, rt60_s: float, rng: np.random.Generator) -> Samples64:
    """What a room answers to a click: noise that falls by 60 dB in rt60_s; zeros alone where that is too short."""
    times_s = np.arange(int(rt60_s * sample_rate_hz)) / sample_rate_hz
    echoes_K: Samples64 = rng.standard_normal(len(times_s)) * 10 ** (-3 * times_s / rt60_s)
    echoes_K[times_s < EARLIEST_ECHO_S] = 0
    return echoes_K


def add_echoes(dry_N: Samples64, echoes_K: Samples64, direct_to_echo_db: float) -> Samples64:
    """The sound and, behind it, its echoes at this level under it; of the same length, and louder than before."""
    gain = np.sqrt(10 ** (-direct_to_echo_db / 10) / float(np.square(echoes_K).sum()))
    return np.asarray(dry_N + scipy.signal.fftconvolve(dry_N, echoes_K * gain)[: len(dry_N)])
