"""Convolutions from samples to frames, as wav2vec 2.0's feature extractor (Baevski et al. 2020, arXiv:2006.11477).

Legend: B utterances, N samples, T frames, F features of a sample (1), C channels.
"""

from collections.abc import Iterable
from math import prod
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kd.config.wav2vec2 import Wav2Vec2Settings
from kd.models.convolution import TimeConv1d
from kd.padding import frame_mask


class ChannelNorm(nn.Module):
    """Each channel by its own mean and variance over an utterance's valid frames, (B, T, C) -> (B, T, C).

    `nn.GroupNorm` with a group for each channel, which would take padding in. Float32 under mixed precision.
    """

    EPS = 1e-5

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x_BTC: Tensor, lengths_B: Tensor) -> Tensor:
        with torch.autocast(x_BTC.device.type, enabled=False):
            exact = torch.promote_types(x_BTC.dtype, torch.float32)
            share_BT1 = _shares(lengths_B, x_BTC.shape[1], exact)
            centred_BTC = x_BTC.to(exact) - (x_BTC.to(exact) * share_BT1).sum(1, keepdim=True)
            variance_B1C = (centred_BTC.square() * share_BT1).sum(1, keepdim=True)
            scaled_BTC = centred_BTC * torch.rsqrt(variance_B1C + self.EPS) * self.weight + self.bias
        return scaled_BTC.to(x_BTC.dtype)


class ExtractorLayer(nn.Module):
    """A convolution, a norm where it has one, GELU: (B, T, C) -> (B, T', C')."""

    def __init__(self, settings: Wav2Vec2Settings, i: int, num_inputs: int) -> None:
        super().__init__()
        channels = settings.channels[i]
        self.kernel, self.stride = settings.kernels[i], settings.strides[i]
        self.conv = TimeConv1d(num_inputs, channels, self.kernel, self.stride, bias=settings.conv_bias)
        if settings.extractor_norm == "layer":
            self.norm: nn.Module = nn.LayerNorm(channels)
        elif i == 0:
            self.norm = ChannelNorm(channels)

    def forward(self, x_BTC: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        x_BTC = self.conv(x_BTC.transpose(1, 2)).transpose(1, 2)
        lengths_B = self.output_lengths(lengths_B)
        if hasattr(self, "norm"):
            x_BTC = self.norm(x_BTC, lengths_B) if isinstance(self.norm, ChannelNorm) else self.norm(x_BTC)
        return F.gelu(x_BTC), lengths_B

    def output_lengths(self, lengths_B: Tensor) -> Tensor:
        """Frames that lie wholly within so many; one of an utterance that is shorter."""
        whole_B = torch.div(lengths_B - self.kernel, self.stride, rounding_mode="floor") + 1
        return torch.minimum(whole_B.clamp(min=1), lengths_B)


class Extractor(nn.Module):
    """features_BNF, zero beyond their lengths_B -> x_BTC, lengths_B, with anything in the padding.

    An utterance that is shorter than a frame goes on in zeros to its end.
    """

    def __init__(self, settings: Wav2Vec2Settings, num_features: int) -> None:
        inputs = (num_features, *settings.channels[:-1])
        super().__init__()
        self.layers = nn.ModuleList(ExtractorLayer(settings, i, num_inputs) for i, num_inputs in enumerate(inputs))
        steps = [prod(settings.strides[:i]) for i in range(len(settings.strides))]
        self.receptive_samples = 1 + sum((k - 1) * step for k, step in zip(settings.kernels, steps, strict=True))

    def forward(self, features_BNF: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        x_BTC = F.pad(features_BNF, (0, 0, 0, self.receptive_samples - 1))
        for layer in self.layers:
            x_BTC, lengths_B = layer(x_BTC, lengths_B)
        return x_BTC[:, : lengths_B.max()], lengths_B

    def output_lengths(self, lengths_B: Tensor) -> Tensor:
        for layer in cast(Iterable[ExtractorLayer], self.layers):
            lengths_B = layer.output_lengths(lengths_B)
        return lengths_B


def _shares(lengths_B: Tensor, num_frames: int, dtype: torch.dtype) -> Tensor:
    """(B, T, 1): what each valid frame is of its utterance's mean; zero on others."""
    mask_BT = frame_mask(lengths_B, num_frames).to(dtype)
    return (mask_BT / lengths_B.clamp(min=1)[:, None].to(dtype))[..., None]
