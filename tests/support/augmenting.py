"""What tests of augmentation share: settings of one kind each, tones, features."""

import torch
from torch import Generator, Tensor

from kd.audio.augment import at_speeds, draw_speeds
from kd.config.frontend import AugmentSettings

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


def change_speed(
    waveform_BN: Tensor, lengths_B: Tensor, *, settings: AugmentSettings, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Each utterance at a speed drawn from `speeds`."""
    return at_speeds(waveform_BN, lengths_B, draw_speeds(lengths_B, settings=settings, generator=generator))


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
