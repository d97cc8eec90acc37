"""Pseudo-labels: transcripts of the training part by a teacher that gives text."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import soxr

from kd.config.models import Problem
from kd.text.metrics import EDITS, error_rate
from kd.text.vocabulary import Vocabulary
from kd.text.writing import replaced
from tasks.data.preparation.quarantine import RejectedError
from tasks.data.preparation.text import normalise
from tasks.data.prepared import PreparedData, Utterance
from tasks.params.pipeline import Params
from tasks.params.teachers import AnyTextTeacher, TranscribingTeacher
from tasks.params.writing import writing_of
from tasks.runner.paths import Paths
from tasks.runner.reporter import Reporter
from tasks.teachers.pseudo_label_table import Hypothesis, PseudoLabel
from tasks.teachers.transcribers import TRANSCRIBERS, Clip, TranscriberOutput
from tasks.teachers.transcribers.cache import transcribe_once


def chosen(data: PreparedData, parts: Sequence[str] | None) -> tuple[Utterance, ...]:
    """The training part's utterances of these parts of the corpus."""
    found = tuple(u for u in data.split("train") if parts is None or u.part in parts)
    if not found:
        there = ", ".join(sorted({u.part for u in data.split("train")}))
        raise ValueError(f"no training utterance is of {', '.join(parts or ())}: name under parts some of {there}")
    return found


def pseudo_label_metrics(
    problem: Problem, utterances: Sequence[Utterance], answers: Sequence[PseudoLabel], sample_rate_hz: int
) -> dict[str, float]:
    """How much was answered; and where transcripts are known, how wrong the answers are: told, never used."""
    said = {answer.id: answer.best.text for answer in answers if answer.best is not None}
    edits = [EDITS[problem](u.text, said[u.id] or "") for u in utterances if u.units and u.id in said]
    confidences = [answer.confidence for answer in answers if answer.confidence is not None]
    return {
        "utterances": float(len(utterances)),
        "answered": float(len(said)),
        "audio_seconds": sum(u.num_samples for u in utterances) / sample_rate_hz,
        **({"mean_confidence": float(np.mean(confidences))} if confidences else {}),
        **({"train_error": error_rate(edits)} if edits else {}),
    }


def pseudo_labels_of(
    params: Params,
    settings: AnyTextTeacher,
    paths: Paths,
    data: PreparedData,
    utterances: Sequence[Utterance],
    reporter: Reporter,
) -> list[PseudoLabel]:
    """One answer an utterance, with transcripts at other speeds as second opinions."""
    transcriber = TRANSCRIBERS[settings.source](settings, paths.root)
    speeds = settings.speeds if isinstance(settings, TranscribingTeacher) else ()
    views = []
    for speed in (1.0, *speeds):
        clips = [clip_of(data, utterance, speed) for utterance in utterances]
        views.append(transcribe_once(transcriber, clips, paths.scratch / "pseudo_labels", reporter))
    write = partial(in_units, params=params, vocabulary=data.vocabulary)
    return [_answer(u.id, [view[u.id] for view in views], settings.replace, write) for u in utterances]


def clip_of(data: PreparedData, utterance: Utterance, speed: float) -> Clip:
    """An utterance at a speed, for a transcriber to read."""
    rate_hz = data.sample_rate_hz

    def read() -> npt.NDArray[np.float32]:
        waveform_N = data.waveform(utterance)
        return waveform_N if speed == 1.0 else at_speed(waveform_N, speed)

    return Clip(utterance.id, utterance.source, utterance.num_samples / rate_hz / speed, rate_hz, read)


def at_speed(waveform_N: npt.NDArray[np.float32], speed: float) -> npt.NDArray[np.float32]:
    """Faster (above 1) or slower, its pitch moving along, as a tape does it."""
    # Not kd.runtime.resample, which knows ratios of rates alone and rounds otherwise: transcripts kept would be others
    moved_N: npt.NDArray[np.float32] = soxr.resample(waveform_N, 1_000 * speed, 1_000).astype(np.float32)
    return moved_N


def in_units(text: str, params: Params, vocabulary: Vocabulary) -> str | None:
    """Another recogniser's transcript as this pipeline writes its own; None where its units cannot."""
    try:
        plain = normalise(text, writing_of(params))
        vocabulary.encode(plain)
    except (RejectedError, ValueError):
        return None
    return plain


def _answer(
    name: str, views: Sequence[TranscriberOutput], replacements: dict[str, str], write: Callable[[str], str | None]
) -> PseudoLabel:
    main, *others = views
    hypotheses = []
    for raw, weight in main.texts:
        said = replaced(raw, replacements)
        hypotheses.append(Hypothesis(raw, write(said), weight))
    opinions = [replaced(view.texts[0][0], replacements) for view in others if view.texts]
    return PseudoLabel(
        id=name,
        hypotheses=tuple(hypotheses),
        confidence=main.confidence,
        no_speech=main.no_speech,
        opinions=tuple(write(opinion) or opinion for opinion in opinions),
        refused=main.refused,
    )
