"""Augmentation: off is identity, padding stays, a generator decides everything; masks and filters of features."""

import math
from collections.abc import Callable

import pytest
import torch
from augmenting import (
    CHANNEL,
    FILTER,
    LENGTHS,
    LEVEL,
    MASKS,
    NOISE,
    OFF,
    RATE,
    ROOMS,
    SPEEDS,
    TELEPHONES,
    change_speed,
    features,
    inside,
    seeded,
    tones,
)
from torch import Generator, Tensor

from kd.audio.augment import (
    LOG_FLOOR,
    add_noise,
    add_rooms,
    change_filter,
    change_level,
    perturb,
    spec_augment,
    through_telephones,
)
from kd.audio.frontend import make_front_end
from kd.config.frontend import AugmentSettings, FrontEndSettings


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


@pytest.mark.parametrize("kind", ["kaldi", "whisper"])
def test_another_level_is_what_the_scaled_waveform_gives(kind: str) -> None:
    settings = FrontEndSettings.model_validate({"kind": kind})
    lengths_B = torch.tensor([4_000, 2_511, 4_000])
    waveform_BN = 0.3 * torch.randn(3, 4_000, generator=seeded(4))
    waveform_BN[2] = 0.0
    frontend = make_front_end(settings)
    plain_BTF, frames_B = frontend(waveform_BN, lengths_B)
    got_BTF = change_level(plain_BTF, frames_B, settings=LEVEL, generator=seeded(2), frontend=settings)
    gain_db_B = (got_BTF - plain_BTF)[:, 5, 40] / settings.per_db
    assert gain_db_B[:2].abs().min() > 0.5
    assert gain_db_B.abs().max() <= 15.0
    assert gain_db_B[0] != gain_db_B[1]
    expected_BTF, _ = frontend(waveform_BN * 10 ** (gain_db_B[:, None] / 20), lengths_B)
    torch.testing.assert_close(got_BTF, expected_BTF, atol=1e-4, rtol=0)
    assert torch.equal(got_BTF[2], plain_BTF[2])


@pytest.mark.parametrize(("kind", "floor"), [("kaldi", LOG_FLOOR), ("whisper", -1.5)])
def test_a_quiet_utterance_ends_at_the_floor(kind: str, floor: float) -> None:
    quiet_BTF, frontend = torch.full((50, 3, 8), floor + 0.05), FrontEndSettings.model_validate({"kind": kind})
    got_BTF = change_level(quiet_BTF, torch.full((50,), 3), settings=LEVEL, generator=seeded(5), frontend=frontend)
    assert got_BTF.min() == floor
    assert got_BTF.max() > floor + 0.05


def test_a_filters_gains_are_in_the_features_own_unit() -> None:
    """The same draw: as many decibels for both kinds of front end."""
    settings, whisper = OFF.model_copy(update={"filter_db": 6.0}), FrontEndSettings(kind="whisper")
    given = {"settings": settings}
    kaldi_BTF = change_filter(torch.zeros(2, 3, 80), torch.tensor([3, 3]), generator=seeded(1), **given)
    found_BTF = change_filter(
        torch.zeros(2, 3, 80), torch.tensor([3, 3]), generator=seeded(1), frontend=whisper, **given
    )
    torch.testing.assert_close(found_BTF * 40, kaldi_BTF * 10 / math.log(10))


def test_samples_are_scaled_and_masked_in_time_alone() -> None:
    """Their one feature has no bands: a gain multiplies it, and a mask of frequency would take all of it."""
    settings = FrontEndSettings(kind="waveform")
    lengths_B, samples_BN1 = torch.tensor([900, 500]), torch.randn(2, 900, 1, generator=seeded(3))
    got_BN1 = change_level(samples_BN1, lengths_B, settings=LEVEL, generator=seeded(2), frontend=settings)
    torch.testing.assert_close(got_BN1 / samples_BN1, (got_BN1 / samples_BN1)[:, :1].expand_as(got_BN1))
    assert not torch.allclose(got_BN1, samples_BN1, atol=0.01)
    bands = OFF.model_copy(update={"frequency_masks": 3, "frequency_mask_bins": 20})
    assert spec_augment(samples_BN1, lengths_B, settings=bands, generator=seeded(1)) is samples_BN1
    filtered = OFF.model_copy(update={"filter_db": 6.0})
    with pytest.raises(ValueError, match=r"filter_db 6: samples have no mel bins whose gains change: set it to 0"):
        change_filter(samples_BN1, lengths_B, settings=filtered, generator=seeded(1), frontend=settings)


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
