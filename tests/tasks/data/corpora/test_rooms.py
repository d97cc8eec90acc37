"""Rooms: the drawn SNR, reverberation time and level are those that can be measured."""

import numpy as np
import pytest

from tasks.data.corpora.rooms import PEAK, coloured_noise, in_room, reverberate, rms
from tasks.params.corpora import RoomParams

RATE = 16_000


def speech() -> np.ndarray:
    return 0.2 * np.sin(2 * np.pi * 300 * np.arange(RATE) / RATE)


def test_the_snr_is_the_one_reported():
    room = RoomParams(reverb_share=0, noise_share=1, snr_db=(8.0, 8.0), level_dbfs=(-30.0, -30.0))
    heard, snr_db = in_room(speech(), RATE, room, np.random.default_rng(0))
    assert snr_db == 8.0
    clean, without = in_room(speech(), RATE, room.model_copy(update={"noise_share": 0.0}), np.random.default_rng(0))
    assert without is None
    inside = slice(np.flatnonzero(clean)[0], np.flatnonzero(clean)[-1])
    tone = clean[inside] / rms(clean[inside])
    part = (heard[inside] @ tone) / len(tone)
    noise = heard[inside] - part * tone
    assert 20 * np.log10(part / rms(noise)) == pytest.approx(8.0, abs=1.0)


def test_the_level_is_the_one_drawn_and_nothing_clips():
    quiet = RoomParams(reverb_share=0, noise_share=0, level_dbfs=(-30.0, -30.0))
    heard, _ = in_room(speech(), RATE, quiet, np.random.default_rng(1))
    assert 20 * np.log10(rms(heard)) == pytest.approx(-30.0, abs=0.01)
    loud = RoomParams(reverb_share=1, noise_share=1, level_dbfs=(-1.0, -1.0))
    heard, _ = in_room(speech(), RATE, loud, np.random.default_rng(1))
    assert np.abs(heard).max() == pytest.approx(PEAK)


@pytest.mark.parametrize("rt60_s", [0.15, 0.4])
def test_echoes_fall_by_60_db_in_the_reverberation_time(rt60_s):
    click = np.zeros(RATE)
    click[0] = 1.0
    heard = reverberate(click, RATE, rt60_s, np.random.default_rng(2))
    assert heard[0] == pytest.approx(1.0)
    decay = 10 * np.log10(np.cumsum(heard[:0:-1] ** 2)[::-1] + 1e-20)  # Schroeder's backward integral
    start, half = int(0.01 * RATE), int((0.01 + rt60_s / 2) * RATE)
    assert decay[start] - decay[half] == pytest.approx(30, abs=2)


@pytest.mark.parametrize("slope", [0.0, 1.0, 2.0])
def test_noise_has_its_colour(slope):
    noise = coloured_noise(1 << 16, slope, np.random.default_rng(3))
    power = np.abs(np.fft.rfft(noise)) ** 2
    octaves = [power[1 << k : 1 << (k + 1)].mean() for k in (8, 12)]
    assert 10 * np.log10(octaves[0] / octaves[1]) == pytest.approx(slope * 4 * 10 * np.log10(2), abs=1.0)
    assert rms(noise) == pytest.approx(1.0)
