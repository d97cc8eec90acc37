"""Shapes of models against their front ends, the rate of the audio and the step of frames."""

from collections.abc import Iterator

from pydantic import ValidationError

from kd.config.frontend import WHISPER
from kd.config.models import ModelSettings, WhisperSettings
from tasks.params.graph import front_end_of
from tasks.params.pipeline import Params
from tasks.params.trainings import pretrained

ENCODER_FRAME_MS = WhisperSettings.STRIDE * WHISPER["frame_shift_ms"]
"""A frame of Whisper's encoder."""


def model_problems(params: Params) -> Iterator[str]:
    """One line for each mistake in the shapes of models and of what pre-trained weights need."""
    yield from _shape_problems(params)
    yield from _pretrained_problems(params)


def _shape_problems(params: Params) -> Iterator[str]:
    models = {f"students.{name}.model": r.model for name, r in params.students.items() if r.model is not None}
    if params.teacher.source == "train":
        models["teacher.model"] = params.teacher.model
    steps_ms = {f"{key}.pooling": ENCODER_FRAME_MS * teacher.pooling for key, teacher in pretrained(params).items()}
    for key, encoder in models.items():
        front = front_end_of(params, key.removesuffix(".model").removeprefix("students."))
        assert front is not None  # of a model that begins here
        if front.sample_rate_hz != params.frontend.sample_rate_hz:
            yield (
                f"{key.removesuffix('model')}frontend.sample_rate_hz: {front.sample_rate_hz}, but audio is prepared at "
                f"frontend.sample_rate_hz {params.frontend.sample_rate_hz}: write the same"
            )
        try:
            ModelSettings(problem=params.problem.kind, num_features=front.num_mels, num_outputs=2, encoder=encoder)
        except ValidationError as error:
            yield from (f"{key}: {detail['msg'].removeprefix('Value error, ')}" for detail in error.errors())
        if front.kind == "whisper" and getattr(encoder, "causal", False):
            yield (
                f"{key}.causal: true depends on nothing later, but features of kind whisper on the peak of the whole "
                "utterance: use kind kaldi, or causal: false"
            )
        steps_ms[key] = front.frame_shift_ms * getattr(encoder, "subsampling", 1)
    for key, step_ms in steps_ms.items():
        if params.problem.kind == "transcription" and step_ms > params.preprocess.frame_ms:
            yield (
                f"preprocess.frame_ms: {key} has a frame every {step_ms:g} ms, so this must be {step_ms:g} or more, "
                f"found {params.preprocess.frame_ms:g}"
            )


def _pretrained_problems(params: Params) -> Iterator[str]:
    """Whisper's front end takes one rate."""
    rate_hz = params.frontend.sample_rate_hz
    for key in pretrained(params):
        if rate_hz != WHISPER["sample_rate_hz"]:
            yield (
                f"frontend.sample_rate_hz: audio is prepared at {rate_hz} Hz, but {key} takes "
                f"{WHISPER['sample_rate_hz']:g} Hz: write that"
            )
