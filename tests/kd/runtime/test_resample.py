"""The resampler against soxr, and its laws."""

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from kd.runtime.resample import Resampler, Samples, resample

PAIRS = [(8_000, 16_000), (44_100, 16_000), (48_000, 16_000), (48_000, 8_000), (11_025, 16_000), (16_000, 8_000)]


def tone(freq_hz: float, rate_hz: int, seconds: float = 1.0) -> Samples:
    return np.sin(2 * np.pi * freq_hz * np.arange(round(seconds * rate_hz)) / rate_hz).astype(np.float32)


def inner(samples_N: Samples) -> Samples:
    """Without the ends, where the filters reach beyond the audio."""
    return samples_N[len(samples_N) // 5 : -len(samples_N) // 5]


def level_db(samples_N: Samples) -> float:
    return float(10 * np.log10(np.mean(np.square(inner(samples_N), dtype=float)) + 1e-30))


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_equals_soxr_on_speech_band_noise(from_hz: int, to_hz: int) -> None:
    """60 tones up to 0.85 of the lower Nyquist frequency: within -70 dB of soxr's best quality."""
    rng = np.random.default_rng(1)
    highest_hz = 0.85 * min(from_hz, to_hz) / 2
    tones = [tone(freq_hz, from_hz) * rng.uniform(0.2, 1) for freq_hz in rng.uniform(20, highest_hz, 60)]
    samples_N = np.sum(tones, axis=0).astype(np.float32) / 30
    ours, theirs = resample(samples_N, from_hz, to_hz), soxr.resample(samples_N, from_hz, to_hz, quality="VHQ")
    assert abs(len(ours) - len(theirs)) <= 1
    length = min(len(ours), len(theirs))
    assert level_db(ours[:length] - theirs[:length]) < level_db(theirs) - 70


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_gain_is_one_below_and_nothing_above(from_hz: int, to_hz: int) -> None:
    nyquist_hz = min(from_hz, to_hz) / 2
    for share in (0.02, 0.5, 0.9):
        assert abs(level_db(resample(tone(share * nyquist_hz, from_hz), from_hz, to_hz)) + 3.01) < 0.02
    if from_hz > to_hz:
        for share in (1.01, 1.1, 1.3, 1.9):
            freq_hz = min(share * nyquist_hz, 0.499 * from_hz)
            assert level_db(resample(tone(freq_hz, from_hz), from_hz, to_hz)) < -90


@settings(max_examples=20, deadline=None)
@given(
    pair=st.sampled_from([*PAIRS, (16_000, 16_000), (9_999, 16_000)]),
    pieces=st.lists(st.integers(0, 1_500), min_size=1, max_size=6),
)
def test_pieces_give_the_same_as_the_whole(pair: tuple[int, int], pieces: list[int]) -> None:
    samples_N = np.random.default_rng(sum(pieces)).uniform(-1, 1, sum(pieces)).astype(np.float32)  # as audio is
    stream, first, found = Resampler(*pair), 0, []
    for size in pieces:
        found.append(stream.push(samples_N[first : first + size]))
        first += size
    found.append(stream.push(samples_N[:0], last=True))
    np.testing.assert_allclose(np.concatenate(found), resample(samples_N, *pair), atol=2e-6)


def test_a_constant_stays_one_and_the_duration_too() -> None:
    out_N = resample(np.ones(44_100, np.float32), 44_100, 16_000)
    assert len(out_N) == 16_000
    np.testing.assert_allclose(inner(out_N), 1.0, atol=1e-5)
