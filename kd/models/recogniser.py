"""A recogniser: feature scaling, an encoder, and a linear head over units or keywords."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kd.config.models import ModelSettings
from kd.models import level
from kd.models.dimensions import Dimension, reads
from kd.models.encoder import Encoder
from kd.models.pooling import ceil_div, mean_pooled
from kd.padding import frame_mask


class Recogniser(nn.Module):
    """features_BTF (log-mel), lengths_B (frames) -> logits_BTV, lengths_B.

    For a keyword problem the encoder's frames are averaged, and T is 1: a keyword is a sequence of
    one frame. Independent of padding and, in evaluation, of batch-mates.
    mean_F and scale_F hold fixed statistics of the training audio, which a stream can apply too. Before them
    `settings.level_frames` takes away the level of the frames around, or `settings.dynamic_range` raises features to a
    floor below their peak, which `settings.peak` moves to one place, or `settings.normalised` scales samples to one
    loudness. With level_frames, peak or normalised, a gain of the audio changes nothing, down to where the front end's
    own floor is reached (kd.models.level).
    """

    mean_F: Tensor
    scale_F: Tensor

    def __init__(self, settings: ModelSettings, make_encoder: Callable[..., Encoder]) -> None:
        super().__init__()
        self.settings = settings
        self.register_buffer("mean_F", torch.zeros(settings.num_features))
        self.register_buffer("scale_F", torch.ones(settings.num_features))
        self.encoder = make_encoder(settings.encoder, settings.num_features)
        self.head = nn.Linear(self.encoder.num_outputs, settings.num_outputs)

    def set_statistics(self, mean_F: Tensor, deviation_F: Tensor) -> None:
        """Fix the scaling of the features: (x - mean) / deviation."""
        self.mean_F.copy_(mean_F)
        self.scale_F.copy_(1 / deviation_F.clamp(min=1e-3))

    def forward(self, features_BTF: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        x_BTD, lengths_B = self.encoder(self.scaled(features_BTF, lengths_B), lengths_B)
        if self.settings.problem == "keyword":
            x_BTD = x_BTD.sum(1, keepdim=True) / lengths_B[:, None, None]
            lengths_B = torch.ones_like(lengths_B)
        else:
            x_BTD, lengths_B = self.pooled(x_BTD, lengths_B)
        return self.head(x_BTD), lengths_B

    def pooled(self, x_BTD: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        """The encoder's frames, or the mean of as many as its settings pool, over those that are there."""
        pooling = self.settings.encoder.pooling
        return (x_BTD, lengths_B) if pooling == 1 else mean_pooled(x_BTD, lengths_B, pooling)

    def scaled(self, features_BTF: Tensor, lengths_B: Tensor) -> Tensor:
        """What the encoder takes: features less their level, by fixed statistics; zero beyond lengths_B."""
        mask_BT = frame_mask(lengths_B, features_BTF.shape[1])
        levelled_BTF = self.levelled(features_BTF.masked_fill(~mask_BT[..., None], 0.0), mask_BT)
        return (levelled_BTF - self.mean_F) * self.scale_F * mask_BT[..., None]

    def levelled(self, features_BTF: Tensor, mask_BT: Tensor) -> Tensor:
        """Features relative to the level around them, or to their peak, or of one loudness; else as they are."""
        if self.settings.normalised:
            features_BTF = level.normalised(features_BTF, mask_BT)
        if self.settings.dynamic_range:
            features_BTF = level.below_peak(features_BTF, mask_BT, self.settings.dynamic_range, self.settings.peak)
        if self.settings.level_frames == 0:
            return features_BTF
        counted_B2T = level.level_of(features_BTF, mask_BT)
        return level.relative(features_BTF, F.pad(counted_B2T, self.settings.level_sides))

    def receptive_field(self) -> tuple[int, int] | None:
        """Feature frames that an output frame depends on before and after its own, at most; None: on all."""
        reached = self.encoder.receptive_field()
        if reached is None or self.settings.dynamic_range or self.settings.normalised:  # the peak may lie anywhere
            return None
        before, after = self.settings.level_sides
        return reached[0] + before, reached[1] + after

    def output_lengths(self, lengths_B: Tensor) -> Tensor:
        """Frames of the logits for that many feature frames."""
        if self.settings.problem == "keyword":
            return torch.ones_like(lengths_B)
        return ceil_div(self.encoder.output_lengths(lengths_B), self.settings.encoder.pooling)

    def dimensions(self) -> tuple[Dimension, ...]:
        """All coupled dimensions, whose tensors are named as in `state_dict()`."""
        found = []
        for dimension in self.encoder.dimensions():
            dimension = dimension.prefixed("encoder.")
            if dimension.name == self.encoder.output:
                dimension = replace(
                    dimension, axes=(*dimension.axes, reads("head.weight", blocks=self.encoder.output_blocks))
                )
            found.append(dimension)
        return tuple(found)
