"""Echoes: the reverberation time and the level asked for are those that can be measured."""

import numpy as np
import pytest

from kd.audio.rooms import EARLIEST_ECHO_S, add_echoes, draw_echoes

RATE = 16_000


@pytest.mark.parametrize("rt60_s", [0.15, 0.4])
def test_echoes_fall_by_60_db_in_the_reverberation_time(rt60_s):
    click = np.zeros(RATE)
    click[0] = 1.0
    heard = add_echoes(click, draw_echoes(RATE, rt60_s, np.random.default_rng(2)), direct_to_echo_db=6.0)
    assert heard[0] == pytest.approx(1.0)
    assert np.square(heard[1:]).sum() == pytest.approx(10**-0.6), "6 dB less energy than the click"
    decay = 10 * np.log10(np.cumsum(heard[:0:-1] ** 2)[::-1] + 1e-20)  # Schroeder's backward integral
    start, half = int(0.01 * RATE), int((0.01 + rt60_s / 2) * RATE)
    assert decay[start] - decay[half] == pytest.approx(30, abs=2)


def test_a_room_too_small_for_an_echo_answers_nothing():
    assert not draw_echoes(RATE, EARLIEST_ECHO_S / 2, np.random.default_rng(2)).any()
