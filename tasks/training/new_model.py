"""A model that has not learnt anything yet: random weights, and the mean and deviation of the features it will see."""

from collections.abc import Sequence

import torch
from torch import Tensor

from kd.audio.frontend import FrontEnd
from kd.config.frontend import FrontEndSettings
from kd.config.models import EncoderSettings, ModelSettings
from kd.models import Recogniser, build
from kd.padding import frame_mask
from kd.text.vocabulary import Vocabulary
from tasks.data.prepared import PreparedData, Utterance
from tasks.params.pipeline import Params

MOST_UTTERANCES = 500
"""From which the mean and deviation of features are computed, at most."""


def new_model(
    params: Params,
    encoder: EncoderSettings,
    data: PreparedData,
    utterances: Sequence[Utterance],
    frontend: FrontEnd,
    batch_seconds: float,
) -> Recogniser:
    """A model for this problem and its units, with weights from torch's global generator."""
    model = build(model_settings(params, encoder, data.vocabulary, frontend.settings))
    model.set_statistics(*feature_statistics(model, data, utterances, frontend, batch_seconds))
    return model


def model_settings(
    params: Params, encoder: EncoderSettings, vocabulary: Vocabulary, frontend: FrontEndSettings
) -> ModelSettings:
    """Settings of a new model for this problem and its units. A gain of the audio changes nothing for it."""
    return ModelSettings(
        problem=params.problem.kind,
        num_features=frontend.num_mels,
        num_outputs=len(vocabulary),
        encoder=encoder,
        **frontend.level()._asdict(),
    )


def some_of(utterances: Sequence[Utterance]) -> Sequence[Utterance]:
    """At most about MOST_UTTERANCES of them, evenly spread."""
    return utterances[:: max(1, len(utterances) // MOST_UTTERANCES)]


def feature_statistics(
    model: Recogniser, data: PreparedData, utterances: Sequence[Utterance], frontend: FrontEnd, batch_seconds: float
) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each mel bin, (F,) each, as the model levels it, over some of these utterances."""
    total = square = torch.zeros(frontend.settings.num_mels, dtype=torch.float64)
    count = 0
    for batch in data.batches(some_of(utterances), batch_seconds):
        features_BTF, frames_B = frontend(batch.waveform_BN, batch.lengths_B)
        mask_BT = frame_mask(frames_B, features_BTF.shape[1])
        features_BTF = model.levelled(features_BTF, mask_BT).masked_fill(~mask_BT[..., None], 0.0)
        total = total + features_BTF.double().sum((0, 1))
        square = square + features_BTF.double().square().sum((0, 1))
        count += int(frames_B.sum())
    mean = total / count
    return mean.float(), (square / count - mean.square()).clamp(min=0).sqrt().float()
