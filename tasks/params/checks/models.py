"""Shapes of models against their front ends, the rate of the audio and the step of frames."""

from collections.abc import Iterator

from pydantic import ValidationError

from kd.config.frontend import WHISPER, FrontEndSettings
from kd.config.models import EncoderSettings, ModelSettings, WhisperSettings
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
        yield from _sample_problems(params, key, front, encoder)
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


def _sample_problems(params: Params, key: str, front: FrontEndSettings, encoder: EncoderSettings) -> Iterator[str]:
    """The family wav2vec2 takes samples, and no other does; samples have no mel bins to filter."""
    of_samples = front.kind == "waveform"
    if of_samples != (encoder.family == "wav2vec2"):
        wanted = "kaldi or whisper" if of_samples else "waveform"
        yield (
            f"{key}.family: {encoder.family}, but its front end is of kind {front.kind}: set "
            f"{key.removesuffix('model')}frontend: {{kind: {wanted}}}"
        )
    if getattr(encoder, "position_buckets", None) is not None:
        yield (
            f"{key}.position_buckets: WavLM's position biases are not trained, so random ones would stay: remove it, "
            "or begin from pretrained weights of WavLM"
        )
    where, augment = "student_augment", params.student_augment
    if key == "teacher.model" and params.teacher.source == "train":
        where, augment = "teacher.augment", params.teacher.augment
    if of_samples and augment.filter_db > 0:
        yield f"{where}.filter_db: {key} takes samples, which have no mel bins whose gains change: set it to 0"


def _pretrained_problems(params: Params) -> Iterator[str]:
    """They take one rate; and a head of theirs is of characters."""
    rate_hz = params.frontend.sample_rate_hz
    for key, teacher in pretrained(params).items():
        ours = params.problem.kind if params.problem.kind == "keyword" else params.problem.units.kind
        if teacher.head == "kept" and ours != "characters":
            yield f"{key}.head: kept is of characters, but our units are of kind {ours}: use head: new"
        if rate_hz != WHISPER["sample_rate_hz"]:
            yield (
                f"frontend.sample_rate_hz: audio is prepared at {rate_hz} Hz, but {key} takes "
                f"{WHISPER['sample_rate_hz']:g} Hz: write that"
            )
