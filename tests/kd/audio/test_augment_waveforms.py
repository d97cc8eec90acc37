"""Augmentation of waveforms: noise, speeds, rooms and telephones have the sizes that were asked for."""

import math
from collections.abc import Callable

import pytest
import torch
from augmenting import (
    LENGTHS,
    NOISE,
    OFF,
    RATE,
    ROOMS,
    SPEEDS,
    TELEPHONES,
    change_speed,
    seeded,
    tones,
)
from torch import Tensor

from kd.audio.augment import (
    add_noise,
    add_rooms,
    as_fraction,
    at_speeds,
    draw_speeds,
    lengths_at,
    through_telephones,
)
from kd.config.frontend import AugmentSettings


@pytest.mark.parametrize("seed", range(3))
def test_noise_has_the_snr_asked_for(seed: int) -> None:
    lengths_B = torch.tensor([4_000, 900, 2_511])
    waveform_BN = tones(lengths_B, padding=0.0)
    for wanted_db in (-3.0, 10.0, 30.0):
        settings = NOISE.model_copy(update={"noise_snr_db": (wanted_db, wanted_db)})
        added_BN = add_noise(waveform_BN, lengths_B, settings=settings, generator=seeded(seed)) - waveform_BN
        energies = waveform_BN.square().sum(1) / added_BN.square().sum(1)
        torch.testing.assert_close(10 * energies.log10(), torch.full((3,), wanted_db), atol=0.01, rtol=0)


def test_snr_is_drawn_from_its_range_and_share() -> None:
    lengths_B = torch.full((400,), 500)
    waveform_BN = tones(lengths_B)
    settings = NOISE.model_copy(update={"noise_share": 0.3, "noise_snr_db": (5.0, 15.0)})
    added_BN = add_noise(waveform_BN, lengths_B, settings=settings, generator=seeded()) - waveform_BN
    touched = added_BN.any(1)
    assert 0.22 < touched.float().mean() < 0.38
    snr_db = 10 * (waveform_BN.square().sum(1) / added_BN.square().sum(1))[touched].log10()
    assert 5.0 <= snr_db.min() < 6.0
    assert 14.0 < snr_db.max() <= 15.001


def test_noise_is_white_or_pink() -> None:
    lengths_B = torch.full((200,), 4_096)
    waveform_BN = tones(lengths_B)
    added_BN = add_noise(waveform_BN, lengths_B, settings=NOISE, generator=seeded()) - waveform_BN
    power_BK = torch.fft.rfft(added_BN).abs().square()
    low_share_B = power_BK[:, 1:65].sum(1) / power_BK[:, 1:2049].sum(1)
    white, pink = 64 / 2048, math.log(64) / math.log(2048)  # shares of the lowest 64 of 2048 frequencies
    is_pink_B = low_share_B > 0.3
    assert 0.4 < is_pink_B.float().mean() < 0.6
    assert low_share_B[~is_pink_B].mean() == pytest.approx(white, rel=0.1)
    assert low_share_B[is_pink_B].mean() == pytest.approx(pink, rel=0.1)


def test_silence_stays_silent() -> None:
    silence_BN, lengths_B = torch.zeros(2, 300), torch.tensor([300, 0])
    assert not add_noise(silence_BN, lengths_B, settings=NOISE, generator=seeded()).any()


@pytest.mark.parametrize("speed", [0.8, 0.9, 1.1])
def test_speed_changes_length_and_pitch(speed: float) -> None:
    lengths_B = torch.tensor([4_000, 3_001, 7])
    settings = OFF.model_copy(update={"speeds": (speed,)})
    faster_BN, got_B = change_speed(tones(lengths_B), lengths_B, settings=settings, generator=seeded())
    assert got_B.tolist() == [math.ceil(round(n / speed, 6)) for n in lengths_B.tolist()]
    assert faster_BN.shape[1] == got_B[0]
    expected_N = torch.sin(torch.arange(3_000) * 0.3 * speed) * 0.4
    torch.testing.assert_close(faster_BN[0, 100:3_000], expected_N[100:], atol=2e-3, rtol=0)


def test_each_utterance_has_a_speed_of_its_own() -> None:
    lengths_B = torch.full((300,), 990)
    _, got_B = change_speed(tones(lengths_B), lengths_B, settings=SPEEDS, generator=seeded())
    values, counts = got_B.unique(return_counts=True)
    assert values.tolist() == [900, 990, 1_100]
    assert min(counts.tolist()) > 70


def test_speed_does_not_see_batch_mates() -> None:
    settings = OFF.model_copy(update={"speeds": (0.9,)})
    together_BN, got_B = change_speed(tones(), LENGTHS, settings=settings, generator=seeded())
    for row in (0, 2, 4):
        length = LENGTHS[row : row + 1]
        alone_BN, _ = change_speed(tones(length), length, settings=settings, generator=seeded())
        torch.testing.assert_close(together_BN[row, : got_B[row]], alone_BN[0], atol=1e-6, rtol=0)


def test_an_utterance_at_a_speed_is_the_same_alone_and_in_any_batch() -> None:
    lengths_B = torch.tensor([4_000, 900, 2_511, 1_600])
    waveform_BN = tones(lengths_B, padding=0.0)
    speeds = (as_fraction(0.9), as_fraction(1.0), as_fraction(1.1), as_fraction(0.9))
    moved_BN, moved_B = at_speeds(waveform_BN, lengths_B, speeds)
    assert moved_B.tolist() == lengths_at(lengths_B, speeds).tolist() == [4_445, 900, 2_283, 1_778]
    for row, speed in enumerate(speeds):
        alone_1N, length_1 = at_speeds(waveform_BN[row : row + 1, : lengths_B[row]], lengths_B[row : row + 1], [speed])
        assert length_1 == moved_B[row]
        torch.testing.assert_close(moved_BN[row, : moved_B[row]], alone_1N[0], atol=1e-5, rtol=0)


def test_changing_speed_is_drawing_and_moving() -> None:
    waveform_BN = tones(padding=0.0)
    drawn = draw_speeds(LENGTHS, settings=SPEEDS, generator=seeded(4))
    assert len(set(drawn)) > 1
    expected_BN, expected_B = at_speeds(waveform_BN, LENGTHS, drawn)
    found_BN, found_B = change_speed(waveform_BN, LENGTHS, settings=SPEEDS, generator=seeded(4))
    assert torch.equal(found_BN, expected_BN)
    assert torch.equal(found_B, expected_B)


def test_rooms_keep_length_and_level_and_add_echoes() -> None:
    """The level is that of before, and half a second of sound rings on in a quarter second of silence."""
    waveform_BN = torch.zeros(2, 12_000)
    waveform_BN[:, :8_000] = torch.randn(2, 8_000, generator=seeded(1)) * 0.1
    lengths_B = torch.tensor([12_000, 12_000])
    wet_BN = add_rooms(waveform_BN, lengths_B, RATE, settings=ROOMS, generator=seeded(2))
    assert wet_BN.shape == waveform_BN.shape
    torch.testing.assert_close(wet_BN.square().mean(1), waveform_BN.square().mean(1), rtol=1e-3, atol=0)
    assert (wet_BN[:, 8_100:9_000].square().mean(1) > 1e-3 * wet_BN[:, :8_000].square().mean(1)).all()


def test_telephones_keep_their_band_their_time_and_about_the_level() -> None:
    times_N = torch.arange(16_000) / RATE
    inside_N, outside_N = torch.sin(2 * math.pi * 1_000 * times_N) * 0.1, torch.sin(2 * math.pi * 6_000 * times_N) * 0.1
    lengths_B = torch.tensor([16_000, 16_000])
    waveform_BN = torch.stack([inside_N, inside_N + outside_N])
    heard_BN = through_telephones(waveform_BN, lengths_B, RATE, settings=TELEPHONES, generator=seeded(4))
    spectrum_BK = torch.fft.rfft(heard_BN).abs() / 8_000
    assert (spectrum_BK[:, 1_000] - 0.1).abs().max() < 0.01
    assert spectrum_BK[:, 5_000:].max() < 0.001


@pytest.mark.parametrize(("change", "settings"), [(add_rooms, ROOMS), (through_telephones, TELEPHONES)])
def test_a_share_of_the_utterances_meets_a_channel(change: Callable[..., Tensor], settings: AugmentSettings) -> None:
    shares = {name: 0.3 * getattr(settings, name) for name in ("room_share", "telephone_share")}
    share = settings.model_copy(update=shares)
    lengths_B = torch.full((400,), 400)
    waveform_BN = torch.randn(400, 400, generator=seeded(5))
    changed_BN = change(waveform_BN, lengths_B, RATE, settings=share, generator=seeded(6))
    assert 0.22 < float((changed_BN != waveform_BN).any(1).float().mean()) < 0.38


@pytest.mark.parametrize(("change", "settings"), [(add_rooms, ROOMS), (through_telephones, TELEPHONES)])
def test_silence_stays_silent_in_every_channel(change: Callable[..., Tensor], settings: AugmentSettings) -> None:
    silence_BN = torch.zeros(3, 900)
    assert not change(silence_BN, torch.tensor([900, 0, 300]), RATE, settings=settings, generator=seeded()).any()
