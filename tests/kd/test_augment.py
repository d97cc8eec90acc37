"""Augmentation: off is identity, padding stays, a generator decides everything, and sizes are what was asked."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Generator, Tensor

from kd.augment import (
    LOG_FLOOR,
    add_noise,
    add_rooms,
    as_fraction,
    at_speeds,
    change_filter,
    change_level,
    change_speed,
    draw_speeds,
    lengths_at,
    perturb,
    spec_augment,
    through_telephones,
)
from kd.frontend import LogMel
from kd.settings.frontend import AugmentSettings, FrontEndSettings

OFF = AugmentSettings(
    time_masks=0, frequency_masks=0, speeds=(), room_share=0, noise_share=0, telephone_share=0, noise_snr_db=(5.0, 25.0)
)
SPEEDS = OFF.model_copy(update={"speeds": (0.9, 1.0, 1.1)})
NOISE = OFF.model_copy(update={"noise_share": 1.0, "noise_snr_db": (5.0, 25.0)})
MASKS = AugmentSettings()
ROOMS = OFF.model_copy(update={"room_share": 1.0})
TELEPHONES = OFF.model_copy(update={"telephone_share": 1.0})
CHANNEL = NOISE.model_copy(update={"room_share": 1.0, "telephone_share": 1.0})
RATE = 16_000
FILTER = OFF.model_copy(update={"filter_db": 6.0})
LEVEL = OFF.model_copy(update={"level_db": 15.0})
LENGTHS = torch.tensor([4_000, 1, 2_511, 0, 1_600])


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def tones(lengths_B: Tensor = LENGTHS, padding: float = float("nan")) -> Tensor:
    waveform_BN = torch.sin(torch.arange(int(lengths_B.max())) * 0.3).repeat(len(lengths_B), 1) * 0.4
    return waveform_BN.masked_fill(~inside(waveform_BN, lengths_B), padding)


def inside(x: Tensor, lengths_B: Tensor) -> Tensor:
    return torch.arange(x.shape[1]) < lengths_B[:, None]


def features(lengths_B: Tensor, num_bins: int = 80) -> Tensor:
    features_BTF = torch.randn(len(lengths_B), int(lengths_B.max()), num_bins, generator=seeded(9)) - 8.0
    return features_BTF.masked_fill(~inside(features_BTF, lengths_B)[..., None], 0.0)


def noisy(settings: AugmentSettings, generator: Generator) -> Tensor:
    return add_noise(tones(padding=0.0), LENGTHS, settings=settings, generator=generator)


def in_rooms(settings: AugmentSettings, generator: Generator) -> Tensor:
    return add_rooms(tones(padding=0.0), LENGTHS, RATE, settings=settings, generator=generator)


def called(settings: AugmentSettings, generator: Generator) -> Tensor:
    return through_telephones(tones(padding=0.0), LENGTHS, RATE, settings=settings, generator=generator)


def faster(settings: AugmentSettings, generator: Generator) -> Tensor:
    return change_speed(tones(padding=0.0), LENGTHS, settings=settings, generator=generator)[0]


def masked(settings: AugmentSettings, generator: Generator) -> Tensor:
    return spec_augment(features(LENGTHS // 10), LENGTHS // 10, settings=settings, generator=generator)


def filtered(settings: AugmentSettings, generator: Generator) -> Tensor:
    return change_filter(features(LENGTHS // 10), LENGTHS // 10, settings=settings, generator=generator)


def scaled(settings: AugmentSettings, generator: Generator) -> Tensor:
    return change_level(features(LENGTHS // 10), LENGTHS // 10, settings=settings, generator=generator)


ALL: dict[str, tuple[Callable[[AugmentSettings, Generator], Tensor], AugmentSettings]] = {
    "noise": (noisy, NOISE),
    "rooms": (in_rooms, ROOMS),
    "telephones": (called, TELEPHONES),
    "speed": (faster, SPEEDS),
    "masks": (masked, MASKS),
    "filter": (filtered, FILTER),
    "level": (scaled, LEVEL),
}


@pytest.mark.parametrize(("augment", "settings"), ALL.values(), ids=ALL)
def test_drawn_from_the_generator_alone(augment: Callable[..., Tensor], settings: AugmentSettings) -> None:
    torch.manual_seed(1)
    first, again, other = augment(settings, seeded(0)), augment(settings, seeded(0)), augment(settings, seeded(1))
    assert torch.equal(first, again)
    assert first.shape != other.shape or not torch.equal(first, other)


def test_off_is_identity_and_draws_nothing() -> None:
    waveform_BN, features_BTF, generator = tones(padding=0.0), features(LENGTHS // 10), seeded()
    before = generator.get_state()
    assert change_speed(waveform_BN, LENGTHS, settings=OFF, generator=generator) == (waveform_BN, LENGTHS)
    assert perturb(waveform_BN, LENGTHS, RATE, settings=OFF, generator=generator) is waveform_BN
    assert spec_augment(features_BTF, LENGTHS // 10, settings=OFF, generator=generator) is features_BTF
    assert change_filter(features_BTF, LENGTHS // 10, settings=OFF, generator=generator) is features_BTF
    assert change_level(features_BTF, LENGTHS // 10, settings=OFF, generator=generator) is features_BTF
    assert torch.equal(generator.get_state(), before)


def test_inputs_are_left_as_they_are() -> None:
    waveform_BN, features_BTF = tones(padding=0.0), features(LENGTHS // 10)
    copies = waveform_BN.clone(), features_BTF.clone()
    change_speed(waveform_BN, LENGTHS, settings=SPEEDS, generator=seeded())
    perturb(waveform_BN, LENGTHS, RATE, settings=CHANNEL, generator=seeded())
    spec_augment(features_BTF, LENGTHS // 10, settings=MASKS, generator=seeded())
    assert torch.equal(waveform_BN, copies[0])
    assert torch.equal(features_BTF, copies[1])


def test_what_the_padding_holds_does_not_matter() -> None:
    clean_BN, lengths_B = change_speed(tones(padding=0.0), LENGTHS, settings=SPEEDS, generator=seeded(3))
    dirty_BN, _ = change_speed(tones(padding=float("nan")), LENGTHS, settings=SPEEDS, generator=seeded(3))
    assert torch.equal(clean_BN, dirty_BN)
    assert not clean_BN[~inside(clean_BN, lengths_B)].any()
    clean_BN, dirty_BN = (
        perturb(tones(padding=padding), LENGTHS, RATE, settings=CHANNEL, generator=seeded(3)) for padding in (0.0, 7.0)
    )
    valid_BN = inside(clean_BN, LENGTHS)
    assert torch.equal(clean_BN[valid_BN], dirty_BN[valid_BN])
    assert not clean_BN[~valid_BN].any()
    masked_BTF = masked(MASKS, seeded(3))
    assert not masked_BTF[~inside(masked_BTF, LENGTHS // 10)].any()


def test_a_filter_is_one_smooth_gain_per_utterance() -> None:
    plain = features(LENGTHS // 10)
    gain_BTF = filtered(FILTER, seeded(2)) - plain
    assert not gain_BTF[~inside(plain, LENGTHS // 10)].any()
    first = gain_BTF[0]
    torch.testing.assert_close(first, first[:1].expand_as(first), atol=1e-5, rtol=0)
    largest_nats = 6.0 * math.log(10) / 10
    assert 0.1 < first.abs().max() <= largest_nats + 1e-5
    assert first[0].diff().abs().max() <= 2 * largest_nats * 4 / 79 + 1e-5
    assert not torch.allclose(gain_BTF[0, 0], gain_BTF[2, 0], atol=0.01)


def test_another_level_is_what_the_scaled_waveform_gives() -> None:
    lengths_B = torch.tensor([4_000, 2_511, 4_000])
    waveform_BN = 0.3 * torch.randn(3, 4_000, generator=seeded(4))
    waveform_BN[2] = 0.0
    frontend = LogMel(FrontEndSettings())
    plain_BTF, frames_B = frontend(waveform_BN, lengths_B)
    got_BTF = change_level(plain_BTF, frames_B, settings=LEVEL, generator=seeded(2))
    gain_db_B = (got_BTF - plain_BTF)[:, 5, 40] * 10 / math.log(10)
    assert gain_db_B[:2].abs().min() > 0.5
    assert gain_db_B.abs().max() <= 15.0
    assert gain_db_B[0] != gain_db_B[1]
    expected_BTF, _ = frontend(waveform_BN * 10 ** (gain_db_B[:, None] / 20), lengths_B)
    torch.testing.assert_close(got_BTF, expected_BTF, atol=1e-4, rtol=0)
    assert torch.equal(got_BTF[2], plain_BTF[2])


def test_a_quiet_utterance_ends_at_the_floor() -> None:
    quiet_BTF = torch.full((50, 3, 8), LOG_FLOOR + 0.1)
    got_BTF = change_level(quiet_BTF, torch.full((50,), 3), settings=LEVEL, generator=seeded(5))
    assert got_BTF.min() == LOG_FLOOR
    assert got_BTF.max() > LOG_FLOOR + 0.1


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


def test_masks_take_the_mean_and_keep_to_their_sizes() -> None:
    lengths_B = torch.tensor([200, 50, 9, 1] * 40)
    features_BTF = features(lengths_B)
    settings = AugmentSettings(time_masks=1, time_mask_share=0.2, frequency_masks=1, frequency_mask_bins=8)
    got_BTF = spec_augment(features_BTF, lengths_B, settings=settings, generator=seeded())
    widest = {"time": 0, "bins": 0}
    for row, length in enumerate(lengths_B.tolist()):
        before_TF, after_TF = features_BTF[row, :length], got_BTF[row, :length]
        changed_TF = before_TF != after_TF
        times, bins = changed_TF.all(1), changed_TF.all(0)
        assert torch.equal(changed_TF, times[:, None] | bins[None, :])
        assert int(times.sum()) <= int(0.2 * length)
        assert int(bins.sum()) <= 8
        torch.testing.assert_close(after_TF[changed_TF], before_TF.mean().expand(int(changed_TF.sum())))
        for name, mask in (("time", times), ("bins", bins)):
            assert int((mask[1:] & ~mask[:-1]).sum()) + int(mask[0]) <= 1, "one mask is one stretch"
            widest[name] = max(widest[name], int(mask.sum()))
    assert widest["time"] > 30
    assert widest["bins"] == 8


def test_masks_reach_both_ends() -> None:
    lengths_B = torch.full((2_000,), 10)
    features_BTF = features(lengths_B, num_bins=12)
    settings = AugmentSettings(time_masks=2, time_mask_share=0.3, frequency_masks=2, frequency_mask_bins=3)
    changed_BTF = spec_augment(features_BTF, lengths_B, settings=settings, generator=seeded()) != features_BTF
    share_T, share_F = changed_BTF.all(2).float().mean(0), changed_BTF.all(1).float().mean(0)
    assert share_T.min() > 0.05
    assert share_F.min() > 0.05


@pytest.mark.parametrize(("masks", "share"), [(1, 0.1), (2, 0.1), (3, 0.2), (0, 0.5)])
def test_more_time_masking_masks_so_many_times_as_much(masks: int, share: float) -> None:
    """Masks times their longest share, which is twice what each hides in the mean."""
    settings = AugmentSettings(time_masks=masks, time_mask_share=share)
    more = settings.with_time_masking(2.5)
    assert more.time_masks * more.time_mask_share == pytest.approx(2.5 * masks * share)
    assert (more.frequency_masks, more.frequency_mask_bins) == (settings.frequency_masks, settings.frequency_mask_bins)


def test_what_masks_nothing_says_so() -> None:
    off = {"time_masks": 0, "frequency_masks": 0}
    assert AugmentSettings().masks_features
    assert not AugmentSettings.model_validate({**off, "noise_share": 1.0}).masks_features
    assert not AugmentSettings(time_masks=2, time_mask_share=0, frequency_mask_bins=0).masks_features
    assert AugmentSettings.model_validate({**off, "filter_db": 3}).masks_features
    assert AugmentSettings.model_validate({**off, "level_db": 3}).masks_features


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
