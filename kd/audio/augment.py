"""What training adds to its inputs: speed, rooms, noise and telephones on waveforms; level, filter, masks on features.

All is drawn from a given generator. Floors are those of kd.runtime, which is shipped without torch and so owns them.

Legend: B utterances, N samples, T frames, F mel bins, M masks. Every function leaves its input as it is, keeps
padding at what it was (zero where lengths change), and returns its very input where the settings switch it off.
"""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import torch
from torch import Generator, Tensor
from torchaudio.functional import resample

from kd.audio.conditions import reverberate, telephone
from kd.audio.noise import Samples64
from kd.config.conditions import Reverberation
from kd.config.frontend import AugmentSettings, FrontEndSettings
from kd.padding import frame_mask
from kd.runtime.frontend import FLOOR, WHISPER_FLOOR

AS_RECORDED = Fraction(1)
FILTER_KNOTS = 5
TELEPHONE_LEVELS_DB = (-25.0, 0.0)
"""Peaks of calls, against full scale: how coarse the code is depends on it."""
TINY = 1e-9
LOG_FLOOR = float(torch.tensor(FLOOR).log())
FLOORS = {"kaldi": LOG_FLOOR, "whisper": (math.log10(WHISPER_FLOOR) + 4) / 4}
"""The least feature, by the kind of front end."""
KALDI = FrontEndSettings()


def perturb(
    waveform_BN: Tensor, lengths_B: Tensor, sample_rate_hz: int, *, settings: AugmentSettings, generator: Generator
) -> Tensor:
    """A room, then noise, then a telephone, as the settings say and in the order in which sound meets them.

    Lengths stay, and so does time: a teacher's frames of the clean audio fit the result.
    """
    waveform_BN = add_rooms(waveform_BN, lengths_B, sample_rate_hz, settings=settings, generator=generator)
    waveform_BN = add_noise(waveform_BN, lengths_B, settings=settings, generator=generator)
    return through_telephones(waveform_BN, lengths_B, sample_rate_hz, settings=settings, generator=generator)


def add_rooms(
    waveform_BN: Tensor, lengths_B: Tensor, sample_rate_hz: int, *, settings: AugmentSettings, generator: Generator
) -> Tensor:
    """Echoes for a share of the utterances (`reverberate`), the room's size and distance drawn evenly."""
    if settings.room_share == 0:
        return waveform_BN
    chosen_B, rt60_B, direct_B = _uniform(generator, 3, len(lengths_B)).tolist()

    def in_room(samples_N: Samples64, row: int, rng: np.random.Generator) -> Samples64:
        rt60_s, direct_db = _between(settings.rt60_s, rt60_B[row]), _between(settings.direct_to_echo_db, direct_B[row])
        room = Reverberation(kind="reverberation", rt60_s=rt60_s, direct_to_echo_db=direct_db)
        return reverberate(samples_N, sample_rate_hz, room, rng)

    rows = [row for row, drawn in enumerate(chosen_B) if drawn < settings.room_share]
    return _each(waveform_BN, lengths_B, rows, in_room, generator)


def through_telephones(
    waveform_BN: Tensor, lengths_B: Tensor, sample_rate_hz: int, *, settings: AugmentSettings, generator: Generator
) -> Tensor:
    """A share of the utterances in a telephone's band and code (`conditions.telephone`), levels drawn evenly in dB."""
    if settings.telephone_share == 0:
        return waveform_BN
    chosen_B, level_B = _uniform(generator, 2, len(lengths_B)).tolist()

    def called(samples_N: Samples64, row: int, rng: np.random.Generator) -> Samples64:
        gain = 10 ** (_between(TELEPHONE_LEVELS_DB, level_B[row]) / 20) / max(float(np.abs(samples_N).max()), TINY)
        return telephone(samples_N * gain, sample_rate_hz) / gain

    rows = [row for row, drawn in enumerate(chosen_B) if drawn < settings.telephone_share]
    return _each(waveform_BN, lengths_B, rows, called, generator)


def draw_speeds(lengths_B: Tensor, *, settings: AugmentSettings, generator: Generator) -> tuple[Fraction, ...]:
    """A speed for each utterance, all as likely; 1, without drawing, where the settings leave time alone."""
    speeds = tuple(map(as_fraction, settings.speeds))
    if set(speeds) <= {AS_RECORDED}:
        return (AS_RECORDED,) * len(lengths_B)
    drawn_B = torch.randint(len(speeds), lengths_B.shape, generator=generator, device=generator.device)
    return tuple(speeds[index] for index in drawn_B.tolist())


def as_fraction(speed: float) -> Fraction:
    """A speed as a ratio whose denominator is at most 100: what it is resampled by."""
    return Fraction(speed).limit_denominator(100)


def at_speeds(waveform_BN: Tensor, lengths_B: Tensor, speeds: Sequence[Fraction]) -> tuple[Tensor, Tensor]:
    """Each utterance resampled to its speed: at 1.1 it is 1.1 times as fast, and higher.

    Ko et al. 2015, "Audio augmentation for speech recognition", sec. 2. The faster an utterance, the fewer frames
    CTC has for its units. An utterance comes out the same, but for rounding, whatever its batch-mates.
    """
    if set(speeds) <= {AS_RECORDED}:
        return waveform_BN, lengths_B
    clean_BN = waveform_BN.masked_fill(~frame_mask(lengths_B, waveform_BN.shape[1]), 0.0)
    new_lengths_B = lengths_at(lengths_B, speeds)
    rows_of: list[tuple[Tensor, Tensor]] = []
    for speed in sorted(set(speeds)):
        rows = torch.tensor([row for row, own in enumerate(speeds) if own == speed], device=lengths_B.device)
        # By torchaudio, a batch at a time: another filter than the runtime's, and other weights would come of another
        rows_of.append((rows, resample(clean_BN[rows], speed.numerator, speed.denominator)))
    changed_BN = waveform_BN.new_zeros(len(lengths_B), int(new_lengths_B.max()))
    for rows, resampled_BN in rows_of:
        width = min(resampled_BN.shape[1], changed_BN.shape[1])
        changed_BN[rows, :width] = resampled_BN[:, :width]
    return changed_BN.masked_fill(~frame_mask(new_lengths_B, changed_BN.shape[1]), 0.0), new_lengths_B


def lengths_at(lengths_B: Tensor, speeds: Sequence[Fraction]) -> Tensor:
    """Samples of each utterance at its speed, rounded up."""
    samples = [-(-n * s.denominator // s.numerator) for n, s in zip(lengths_B.tolist(), speeds, strict=True)]
    return torch.tensor(samples, device=lengths_B.device)


def add_noise(waveform_BN: Tensor, lengths_B: Tensor, *, settings: AugmentSettings, generator: Generator) -> Tensor:
    """Add white or pink noise, either as likely, to a share of the utterances, at an SNR drawn evenly in dB.

    Powers are means over valid samples. Digital silence stays silent. The sum is not clipped.
    """
    if settings.noise_share == 0:
        return waveform_BN
    chosen_B, pink_B, where_B = _uniform(generator, 3, len(lengths_B)).to(waveform_BN.device)
    inside_BN = frame_mask(lengths_B, waveform_BN.shape[1])
    noise_BN = torch.randn(waveform_BN.shape, generator=generator, device=generator.device).to(waveform_BN)
    noise_BN = torch.where((pink_B < 0.5)[:, None], _pink(noise_BN), noise_BN)
    low_db, high_db = settings.noise_snr_db
    snr_db_B = low_db + (high_db - low_db) * where_B
    wanted_B = _power(waveform_BN, inside_BN) / 10.0 ** (snr_db_B / 10.0)
    noise_power_B = _power(noise_BN, inside_BN).clamp(min=torch.finfo(noise_BN.dtype).tiny)
    gain_B = (wanted_B / noise_power_B).sqrt()
    noisy_BN = inside_BN & (chosen_B < settings.noise_share)[:, None]
    return torch.where(noisy_BN, waveform_BN + gain_B[:, None] * noise_BN, waveform_BN)


def spec_augment(features_BTF: Tensor, lengths_B: Tensor, *, settings: AugmentSettings, generator: Generator) -> Tensor:
    """Mask stretches of time and bands of frequency, within each utterance's own length.

    Park et al. 2019, arXiv:1904.08779, sec. 2, without time warping. A mask takes the utterance's own mean: our
    log-mel features are not normalised, so that 0 would be louder than any speech, while the mean is what 0 is in the
    paper. The longest time mask is a share of the utterance, so that short ones are not wiped out. Samples, whose one
    feature would be masked whole, have no frequency masks.
    """
    time_on = settings.time_masks > 0 and settings.time_mask_share > 0
    _, num_frames, num_bins = features_BTF.shape
    frequency_on = settings.frequency_masks > 0 and settings.frequency_mask_bins > 0 and num_bins > 1
    if not (time_on or frequency_on):
        return features_BTF
    inside_BT = frame_mask(lengths_B, num_frames)
    bins_B = torch.full_like(lengths_B, num_bins)
    widest_B = bins_B.clamp(max=settings.frequency_mask_bins)
    longest_B = (lengths_B * settings.time_mask_share).long()
    time_BT = _masks(lengths_B, longest_B, settings.time_masks, num_frames, generator)
    frequency_BF = _masks(bins_B, widest_B, settings.frequency_masks if num_bins > 1 else 0, num_bins, generator)
    count_B = (lengths_B * num_bins).clamp(min=1)
    mean_B = features_BTF.masked_fill(~inside_BT[..., None], 0.0).sum(dim=(1, 2)) / count_B
    masked_BTF = (time_BT[:, :, None] | frequency_BF[:, None, :]) & inside_BT[..., None]
    return torch.where(masked_BTF, mean_B[:, None, None], features_BTF)


def change_level(
    features_BTF: Tensor,
    lengths_B: Tensor,
    *,
    settings: AugmentSettings,
    generator: Generator,
    frontend: FrontEndSettings = KALDI,
) -> Tensor:
    """Each utterance louder or quieter by up to `level_db`, drawn evenly in dB.

    What log-mel features of the scaled waveform are: a constant more, but for the floor, which silence stays at.
    Samples are multiplied. frontend: whose features these are.
    """
    if settings.level_db == 0:
        return features_BTF
    gain_db_B = settings.level_db * (2 * _uniform(generator, len(lengths_B)) - 1)
    if frontend.kind == "waveform":
        return features_BTF * (10 ** (gain_db_B / 20)).to(features_BTF)[:, None, None]
    gain_B11 = (gain_db_B * frontend.per_db).to(features_BTF)[:, None, None]
    floor = FLOORS[frontend.kind]
    audible_BTF = frame_mask(lengths_B, features_BTF.shape[1])[..., None] & (features_BTF > floor)
    return torch.where(audible_BTF, (features_BTF + gain_B11).clamp(min=floor), features_BTF)


def change_filter(
    features_BTF: Tensor,
    lengths_B: Tensor,
    *,
    settings: AugmentSettings,
    generator: Generator,
    frontend: FrontEndSettings = KALDI,
) -> Tensor:
    """Another microphone and room for each utterance: gains of up to `filter_db`, drawn at a few mel bins.

    FilterAugment, linear type (Nam et al. 2022, arXiv:2110.03282, sec. 2.2), with its knots evenly spaced
    rather than drawn: gains in between are interpolated, and added to log-mel features in their own unit. Raises
    ValueError for samples, which have no mel bins.
    """
    if settings.filter_db == 0:
        return features_BTF
    if frontend.kind == "waveform":
        raise ValueError(f"filter_db {settings.filter_db:g}: samples have no mel bins whose gains change: set it to 0")
    knots_B1K = 2 * _uniform(generator, len(lengths_B), 1, FILTER_KNOTS) - 1
    gain_db_B1F = torch.nn.functional.interpolate(
        knots_B1K * settings.filter_db, size=features_BTF.shape[2], mode="linear", align_corners=True
    )
    gain_B1F = (gain_db_B1F * frontend.per_db).to(features_BTF)
    inside_BT = frame_mask(lengths_B, features_BTF.shape[1])
    return torch.where(inside_BT[..., None], features_BTF + gain_B1F, features_BTF)


def _each(
    waveform_BN: Tensor,
    lengths_B: Tensor,
    rows: Sequence[int],
    change: Callable[[Samples64, int, np.random.Generator], Samples64],
    generator: Generator,
) -> Tensor:
    """The waveforms, these rows of them changed, each by what it draws from a generator of its own."""
    seeds_B = torch.randint(2**31, lengths_B.shape, generator=generator, device=generator.device).tolist()
    changed_BN = waveform_BN.clone() if rows else waveform_BN
    for row in rows:
        length = int(lengths_B[row])
        if length and bool(waveform_BN[row, :length].any()):
            samples_N = waveform_BN[row, :length].double().cpu().numpy()
            other_N = change(samples_N, row, np.random.default_rng(seeds_B[row]))
            changed_BN[row, :length] = torch.from_numpy(other_N).to(waveform_BN)
    return changed_BN


def _between(low_high: tuple[float, float], share: float) -> float:
    low, high = low_high
    return low + (high - low) * share


def _masks(sizes_B: Tensor, longest_B: Tensor, num_masks: int, width: int, generator: Generator) -> Tensor:
    """(B, width) bool: the union of masks 0 to `longest` long, each drawn evenly, within `sizes`."""
    length_BM, start_BM = _uniform(generator, 2, len(sizes_B), num_masks).to(sizes_B.device)
    length_BM = (length_BM * (longest_B[:, None] + 1)).long()
    start_BM = (start_BM * (sizes_B[:, None] - length_BM + 1)).long()
    place = torch.arange(width, device=sizes_B.device)
    masks: Tensor = (place >= start_BM[..., None]) & (place < (start_BM + length_BM)[..., None])
    return masks.any(dim=1)


def _pink(white_BN: Tensor) -> Tensor:
    """White noise with its power made proportional to 1 / frequency; the constant part is removed."""
    spectrum_BK = torch.fft.rfft(white_BN)
    index_K = torch.arange(spectrum_BK.shape[1], device=white_BN.device)
    amplitude_K = torch.where(index_K > 0, index_K.clamp(min=1).rsqrt(), 0.0)
    pink_BN: Tensor = torch.fft.irfft(spectrum_BK * amplitude_K, n=white_BN.shape[1])
    return pink_BN


def _power(waveform_BN: Tensor, inside_BN: Tensor) -> Tensor:
    """Mean square of the valid samples; 0 where there are none."""
    energy_B = waveform_BN.masked_fill(~inside_BN, 0.0).square().sum(dim=1)
    return energy_B / inside_BN.sum(dim=1).clamp(min=1)


def _uniform(generator: Generator, *shape: int) -> Tensor:
    return torch.rand(shape, generator=generator, device=generator.device)
