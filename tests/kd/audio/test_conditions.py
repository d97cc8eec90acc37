from typing import get_args

import numpy as np
import pytest

from kd.audio.conditions import FULL_SCALE, add_noise, change_rate, degrade, mu_law, reverberate, telephone
from kd.audio.noise import rms
from kd.config.conditions import Clipping, Condition, Level, Noise, Rate, Reverberation, Telephone

RATE_HZ = 16_000
EVERY: list[Condition] = [
    Noise(kind="noise", snr_db=10),
    Noise(kind="noise", snr_db=0, colour="white"),
    Reverberation(kind="reverberation"),
    Rate(kind="rate", factor=1.15),
    Level(kind="level", gain_db=-20),
    Level(kind="level", gain_db=10),
    Clipping(kind="clipping"),
    Telephone(kind="telephone"),
]
IDS = [condition.name for condition in EVERY]


def tone(freq_hz: float, seconds: float = 0.5, level: float = 0.25) -> np.ndarray:
    return level * np.sin(2 * np.pi * freq_hz * np.arange(int(seconds * RATE_HZ)) / RATE_HZ)


def peak_hz(samples: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(samples)).argmax() * RATE_HZ / len(samples))


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


@pytest.mark.parametrize("condition", EVERY, ids=IDS)
def test_laws_of_all(condition: Condition) -> None:
    given = np.round(tone(440) * FULL_SCALE).astype(np.int16)
    before = given.copy()
    heard = degrade(given, RATE_HZ, condition, rng())
    assert heard.dtype == np.int16
    assert np.array_equal(given, before)
    assert np.array_equal(heard, degrade(given, RATE_HZ, condition, rng()))
    assert not np.array_equal(heard[: len(given)], given[: len(heard)])
    assert (len(heard) == len(given)) == (condition.kind != "rate")


@pytest.mark.parametrize("condition", EVERY, ids=IDS)
@pytest.mark.parametrize("num_samples", [1, 2, 50])
def test_silence_and_scraps_pass(condition: Condition, num_samples: int) -> None:
    heard = degrade(np.zeros(num_samples, np.int16), RATE_HZ, condition, rng())
    assert len(heard) >= 1
    assert not heard.any()


def test_every_condition_of_the_settings_is_tried_here() -> None:
    kinds, _ = get_args(Condition)
    assert {type(condition) for condition in EVERY} == set(get_args(kinds))


def test_names_tell_conditions_apart() -> None:
    assert len(set(IDS)) == len(EVERY)
    assert Level(kind="level", gain_db=6).name == "6 dB louder"


@pytest.mark.parametrize("colour", ["white", "pink"])
def test_noise_has_its_level(colour: str) -> None:
    speech = tone(440)
    noise = add_noise(speech, Noise(kind="noise", snr_db=6, colour=colour), rng()) - speech
    assert 20 * np.log10(rms(speech) / rms(noise)) == pytest.approx(6)


def test_pink_noise_has_the_same_power_in_each_octave() -> None:
    silence_like = np.full(RATE_HZ, 1.0)
    noise = add_noise(silence_like, Noise(kind="noise", snr_db=0), rng()) - silence_like
    power = np.square(np.abs(np.fft.rfft(noise)))
    octaves = [power[low : 2 * low].sum() for low in (250, 500, 1000, 2000)]
    assert max(octaves) < 1.35 * min(octaves)


def test_echoes_fall_by_sixty_decibels_in_their_time() -> None:
    click = np.zeros(RATE_HZ)
    click[0] = 1.0
    heard = reverberate(click, RATE_HZ, Reverberation(kind="reverberation", rt60_s=0.5), rng())
    early, late = (rms(heard[int(s * RATE_HZ) :][:800]) for s in (0.05, 0.30))
    assert 20 * np.log10(early / late) == pytest.approx(30, abs=1.5)
    assert rms(heard) == pytest.approx(rms(click))


def test_direct_sound_and_echoes_have_their_ratio() -> None:
    click = np.zeros(RATE_HZ)
    click[0] = 1.0
    heard = reverberate(click, RATE_HZ, Reverberation(kind="reverberation", rt60_s=0.3, direct_to_echo_db=3), rng())
    assert 10 * np.log10(heard[0] ** 2 / np.square(heard[1:]).sum()) == pytest.approx(3, abs=0.05)


def test_faster_is_shorter_and_higher() -> None:
    heard = change_rate(tone(400, 1.0), 1.25)
    assert len(heard) == RATE_HZ / 1.25
    assert peak_hz(heard) == pytest.approx(500, abs=2)


def test_a_level_never_clips_and_what_is_too_quiet_loses_bits() -> None:
    given = np.round(tone(440, level=0.5) * FULL_SCALE).astype(np.int16)
    louder = degrade(given, RATE_HZ, Level(kind="level", gain_db=3), rng())
    assert np.abs(louder - given * 10**0.15).max() <= 0.5
    loud = degrade(given, RATE_HZ, Level(kind="level", gain_db=12), rng())
    assert int(np.abs(loud.astype(int)).max()) == FULL_SCALE - 1
    assert np.corrcoef(loud, given)[0, 1] > 0.9999
    quiet = degrade(given, RATE_HZ, Level(kind="level", gain_db=-80), rng())
    assert set(quiet.tolist()) <= set(range(-3, 4))


def test_clipping_cuts_off_what_is_beyond_full_scale() -> None:
    """A sine whose peak is 6 dB over is cut wherever it passes half of it: in two thirds of its samples."""
    given = np.round(tone(440, level=0.01) * FULL_SCALE).astype(np.int16)
    heard = degrade(given, RATE_HZ, Clipping(kind="clipping", over_db=20 * np.log10(2)), rng())
    assert (heard.min(), heard.max()) == (-FULL_SCALE, FULL_SCALE - 1)
    assert np.mean((heard == heard.min()) | (heard == heard.max())) == pytest.approx(2 / 3, abs=0.02)


@pytest.mark.parametrize(("freq_hz", "passes"), [(100, False), (1000, True), (3000, True), (5000, False)])
def test_a_telephone_passes_its_band_alone(freq_hz: float, passes: bool) -> None:
    given = tone(freq_hz)
    lost_db = 20 * np.log10(rms(given) / rms(telephone(given, RATE_HZ)))
    assert (lost_db < 2) if passes else (lost_db > 15)


@pytest.mark.parametrize("rate_hz", [6_000, 8_000, 11_025, 48_000])
def test_a_telephone_at_any_rate(rate_hz: int) -> None:
    samples = 0.2 * np.sin(2 * np.pi * 1000 * np.arange(rate_hz) / rate_hz)
    heard = telephone(samples, rate_hz)
    assert len(heard) == len(samples)
    assert rms(heard) == pytest.approx(rms(samples), rel=0.1)


def test_mu_law_by_hand() -> None:
    # 127 steps on each side. F(0.5) = ln(128.5) / ln(256) = 0.8757, level round(0.8757 · 127) = 111;
    # 111 / 127 = 0.874016; back: (256^0.874016 − 1) / 255 = (127.303 − 1) / 255 = 0.49531.
    assert mu_law(np.array([1.0, -1.0, 0.0, 0.5])) == pytest.approx([1.0, -1.0, 0.0, 0.49531], abs=1e-5)


def test_mu_law_errs_little_where_it_is_quiet() -> None:
    samples = np.linspace(-1, 1, 2001)
    error = np.abs(mu_law(samples) - samples)
    assert error.max() < 0.023
    assert error[np.abs(samples) < 0.01].max() < 0.0004
