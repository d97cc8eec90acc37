"""A model of an encoder that others trained and a new head."""

from collections.abc import Sequence

import torch

from kd.audio.frontend import FrontEnd
from kd.models import Recogniser, build
from kd.models.level import LEAST
from kd.padding import frame_mask
from tasks.data.prepared import PreparedData, Utterance
from tasks.params.pipeline import Params
from tasks.params.trained import PretrainedTeacher
from tasks.pretrained.encoder_weights import EncoderWeights, with_encoder_weights, with_head
from tasks.training.new_model import model_settings, some_of

PEAK_SECONDS = 60.0
"""Audio per batch that peaks are computed from."""


def pretrained_model(
    params: Params,
    teacher: PretrainedTeacher,
    weights: EncoderWeights,
    data: PreparedData,
    utterances: Sequence[Utterance],
    frontend: FrontEnd,
) -> Recogniser:
    """Their encoder, and a head from torch's global generator, or their own for our units.

    Whisper's gets features as Whisper makes them, but for the utterance's peak, which is moved to where these
    utterances have theirs on average, so that a gain of the audio does not change the output. Raises ValueError where a
    head that is kept is not for our units.
    """
    encoder = weights.settings(teacher.pooling, teacher.dropout)
    settings = model_settings(params, encoder, data.vocabulary, frontend.settings)
    if settings.peak is not None:
        settings = settings.model_copy(update={"peak": mean_peak(data, utterances, frontend)})
    model = build(settings)
    state = with_encoder_weights(model.state_dict(), weights)
    if teacher.head == "kept":
        state = with_head(state, weights, data.vocabulary.tokens)
    model.load_state_dict(state, strict=True)
    return model


def mean_peak(data: PreparedData, utterances: Sequence[Utterance], frontend: FrontEnd) -> float:
    """The greatest feature of an utterance, on average over some of them, to two decimals."""
    peaks = [
        features_BTF.masked_fill(~frame_mask(frames_B, features_BTF.shape[1])[..., None], LEAST).amax((1, 2))
        for batch in data.batches(some_of(utterances), PEAK_SECONDS)
        for features_BTF, frames_B in [frontend(batch.waveform_BN, batch.lengths_B)]
    ]
    return round(float(torch.cat(peaks).mean()), 2)
