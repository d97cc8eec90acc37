"""Noise has the colour that was asked for, and a level is that of a root mean square."""

import numpy as np
import pytest

from kd.audio.noise import coloured_noise, rms


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("slope", [0.0, 1.0, 2.0])
def test_noise_has_its_colour(slope, fast):
    noise = coloured_noise(1 << 16, slope, np.random.default_rng(3), fast=fast)
    power = np.abs(np.fft.rfft(noise)) ** 2
    octaves = [power[1 << k : 1 << (k + 1)].mean() for k in (8, 12)]
    assert 10 * np.log10(octaves[0] / octaves[1]) == pytest.approx(slope * 4 * 10 * np.log10(2), abs=1.0)
    assert noise.mean() == pytest.approx(0.0, abs=1e-12), "no offset"


def test_noise_that_is_quick_to_draw_is_as_long_as_asked_for():
    assert len(coloured_noise(9_973, 0.7, np.random.default_rng(3), fast=True)) == 9_973


def test_the_root_mean_square_of_nothing_is_zero():
    assert rms(np.array([3.0, -4.0])) == pytest.approx(12.5**0.5)
    assert rms(np.zeros(0)) == 0.0
