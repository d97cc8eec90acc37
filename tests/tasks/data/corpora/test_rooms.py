"""Rooms: the drawn SNR and level are those that can be measured."""

import numpy as np
import pytest

from kd.audio.noise import rms
from tasks.data.corpora.rooms import PEAK, in_room
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
