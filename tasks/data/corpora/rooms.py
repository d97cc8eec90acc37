"""Room, noise and level: what lies between a clean voice and a microphone.

Legend: N samples, K samples of the echoes.
"""

import numpy as np

from kd.audio.noise import Samples64, coloured_noise, rms
from kd.audio.rooms import add_echoes, draw_echoes
from tasks.params.corpora import RoomParams

PEAK = 0.95  # of full scale: what is louder is made quieter, never clipped
_PAUSE_S = (0.1, 0.4)  # of room sound before and after the speech
_DIRECT_TO_ECHO_DB = (0.0, 12.0)
_NOISE_SLOPES = (0.0, 2.0)  # power falls as 1 / f**slope: from white to brown


def in_room(
    speech_N: Samples64, sample_rate_hz: int, room: RoomParams, rng: np.random.Generator
) -> tuple[Samples64, float | None]:
    """Speech as a far microphone records it, within [-PEAK, PEAK]; and its SNR in dB, or None without noise."""
    before, after = (int(s * sample_rate_hz) for s in rng.uniform(*_PAUSE_S, size=2))
    recorded_N = np.pad(speech_N, (before, after))
    if rng.random() < room.reverb_share:
        echoes_K = draw_echoes(sample_rate_hz, rng.uniform(*room.rt60_s), rng)
        if echoes_K.any():
            recorded_N = add_echoes(recorded_N, echoes_K, rng.uniform(*_DIRECT_TO_ECHO_DB))
    snr_db = None
    if rng.random() < room.noise_share:
        snr_db = float(rng.uniform(*room.snr_db))
        noise_N = coloured_noise(len(recorded_N), rng.uniform(*_NOISE_SLOPES), rng, fast=True)
        recorded_N = recorded_N + noise_N / rms(noise_N) * rms(recorded_N[before : before + len(speech_N)]) * 10 ** (
            -snr_db / 20
        )
    gain = 10 ** (rng.uniform(*room.level_dbfs) / 20) / rms(recorded_N)
    return recorded_N * min(gain, PEAK / np.abs(recorded_N).max()), snr_db
