"""Decoding of what libsndfile reads, trimming, levelling."""

import numpy as np
import pytest
import soundfile

from tasks.data.preparation.audio import PEAK_LIMIT, check_sound, decode, level, to_int16, to_rate, trim
from tasks.data.preparation.prepare import join, loudest
from tasks.data.preparation.quarantine import RejectedError

RATE = 16_000


def tone(seconds: float, rate_hz: int = RATE, level: float = 0.3) -> np.ndarray:
    return (level * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate_hz)) / rate_hz)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "options", "rate_hz"),
    [
        ("a.wav", {"subtype": "PCM_16"}, 44_100),
        ("b.wav", {"subtype": "PCM_24"}, 48_000),
        ("c.wav", {"subtype": "FLOAT"}, 22_050),
        ("d.wav", {"subtype": "ULAW"}, 8_000),
        ("e.flac", {}, 16_000),
        ("f.ogg", {"format": "OGG", "subtype": "OPUS"}, 48_000),
        ("g.ogg", {"format": "OGG", "subtype": "VORBIS"}, 32_000),
        ("h.mp3", {}, 44_100),
        ("i.aiff", {}, 11_025),
    ],
)
def test_any_format_and_rate_becomes_the_same_tone(tmp_path, name, options, rate_hz):
    stereo = np.stack([tone(1.0, rate_hz), tone(1.0, rate_hz)], axis=1)
    soundfile.write(tmp_path / name, stereo, rate_hz, **options)
    samples, found_hz, _ = decode(tmp_path / name, None, None)
    heard = to_rate(samples, found_hz, RATE)
    assert found_hz == rate_hz
    assert len(heard) == pytest.approx(RATE, abs=0.05 * RATE)
    middle = heard[RATE // 4 : RATE * 3 // 4] * np.hanning(RATE // 2)
    assert np.argmax(np.abs(np.fft.rfft(middle))) * 2 == pytest.approx(440, abs=4)
    assert np.sqrt(np.mean(heard[RATE // 4 : RATE * 3 // 4] ** 2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.05)


def test_channels_are_averaged(tmp_path):
    left, right = tone(0.1), 0.5 * tone(0.1)
    soundfile.write(tmp_path / "x.wav", np.stack([left, right], axis=1), RATE, subtype="FLOAT")
    samples, _, _ = decode(tmp_path / "x.wav", None, None)
    np.testing.assert_allclose(samples, (left + right) / 2, atol=1e-7)


def test_trim_cuts_the_quiet_edges_and_keeps_the_pause_within():
    quiet = np.full(RATE, 1e-4, np.float32) * np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    speech = np.concatenate([quiet, tone(0.5), quiet[: RATE // 2], tone(0.5), quiet])
    kept = trim(speech, RATE, below_peak_db=40.0)
    assert len(kept) / RATE == pytest.approx(1.5 + 0.1, abs=0.05)
    np.testing.assert_array_equal(trim(speech, RATE, below_peak_db=200.0), speech[: len(trim(speech, RATE, 200.0))])
    assert len(trim(tone(0.01), RATE, 40.0)) == 160


def test_level_is_reached_or_the_peak_is_held():
    even = level(tone(1.0, level=0.01), -23.0)
    assert 20 * np.log10(np.sqrt(np.mean(even**2))) == pytest.approx(-23.0, abs=0.01)
    click = np.zeros(RATE, np.float32)
    click[100] = 0.01
    assert np.abs(level(click, -23.0)).max() == pytest.approx(PEAK_LIMIT, rel=1e-5)


def test_integers_are_rounded_and_never_wrap_around():
    assert to_int16(np.array([-1.5, -1.0, 0.0, 1.0, 1.5, 0.6 / 32768], np.float32)).tolist() == [
        *(-32768, -32768, 0, 32767, 32767, 1)
    ]


def test_a_few_samples_at_full_scale_are_no_clipping():
    samples = tone(1.0)
    samples[:50] = 1.0
    check_sound(samples)
    samples[:200] = 1.0
    with pytest.raises(RejectedError, match=r"clipped: 1\.2% of its samples"):
        check_sound(samples)


def test_joined_parts_have_their_pauses_and_no_digital_silence():
    rng = np.random.default_rng(1)
    parts = [tone(0.2) + 0.01 * rng.standard_normal(3200).astype(np.float32) for _ in range(3)]
    joined = join(parts, [0, 800, 1600], 400, np.random.default_rng(2))
    assert len(joined) == 3 * 3200 + 2400
    np.testing.assert_array_equal(joined[:3200], parts[0])
    np.testing.assert_array_equal(joined[-3200:], parts[2])
    assert np.abs(joined[3200:4000]).min() > 0
    assert np.array_equal(joined, join(parts, [0, 800, 1600], 400, np.random.default_rng(2)))


def test_the_loudest_stretch_is_found():
    samples = np.concatenate([np.zeros(500), np.ones(100), np.zeros(500)]).astype(np.float32)
    assert loudest(samples, 100).tolist() == [1.0] * 100
