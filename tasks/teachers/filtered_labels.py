"""models/STUDENT/labels.parquet: the transcripts that a student was given by its teacher, kept and dropped."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from kd.config.filtering import FilterSettings
from kd.teachers.filtering import Drop, FilterInput, filter_hypothesis, range_db
from kd.teachers.hypotheses import Row
from kd.text.vocabulary import Vocabulary, frames_needed
from tasks.data.prepared import PreparedData, Utterance
from tasks.runner.atomic_io import write_parquet
from tasks.teachers.pseudo_label_table import PseudoLabel

LABELS_FILE = "labels.parquet"
KEPT = ""


@dataclass(frozen=True)
class Labels:
    """rows: what is learnt, by id; table: every utterance with its reason, which is empty where it was kept."""

    rows: dict[str, Row]
    table: pd.DataFrame

    @property
    def kept_share(self) -> float:
        """Of the audio, in seconds."""
        seconds = self.table["duration_s"]
        return float(seconds[self.table["reason"] == KEPT].sum() / seconds.sum())

    def metrics(self) -> dict[str, float]:
        dropped = self.table["reason"].value_counts().drop(KEPT, errors="ignore")
        return {"labels_kept_share": self.kept_share, **{f"dropped_{k}": float(v) for k, v in dropped.items()}}


def choose_labels(
    data: PreparedData,
    utterances: Sequence[Utterance],
    answers: Mapping[str, PseudoLabel],
    settings: FilterSettings | None,
    output_lengths: Callable[[Tensor], Tensor],
) -> Labels:
    """Judge the teacher's pseudo-label of each utterance that it transcribed.

    output_lengths: from samples to the student's frames. Raises ValueError where it was asked about none.
    """
    asked = [u for u in utterances if u.id in answers]
    if not asked:
        raise ValueError(f"the teacher was asked about none of these {len(utterances)} utterances: see its parts")
    frames = output_lengths(torch.tensor([u.num_samples for u in asked])).tolist()
    rows: dict[str, Row] = {}
    records = []
    for utterance, num_frames in zip(asked, frames, strict=True):
        answer = answers[utterance.id]
        candidate = _candidate(data, utterance, answer, num_frames)
        drop = filter_hypothesis(candidate, settings)
        if drop is None:
            rows[utterance.id] = _row(answer, data.vocabulary, num_frames)
        records.append(_record(utterance, candidate, drop))
    return Labels(rows, pd.DataFrame(records).astype({"speaker": "str", "confidence": "float64"}))


def write_labels(folder: Path, labels: Labels) -> None:
    """Write the student's labels.parquet: those kept and those dropped."""
    write_parquet(folder / LABELS_FILE, labels.table)


def _candidate(data: PreparedData, utterance: Utterance, answer: PseudoLabel, num_frames: int) -> FilterInput:
    best = answer.best
    text = None if best is None else best.text
    return FilterInput(
        text=text,
        raw="" if best is None else best.raw,
        seconds=utterance.num_samples / data.sample_rate_hz,
        frames=num_frames,
        frames_needed=0 if text is None else frames_needed(data.vocabulary.encode(text)),
        range_db=range_db(data.waveform(utterance), data.sample_rate_hz),
        confidence=answer.confidence,
        no_speech=answer.no_speech,
        opinions=answer.opinions,
        refused=answer.refused,
    )


def _row(answer: PseudoLabel, vocabulary: Vocabulary, num_frames: int) -> Row:
    """Units and weights of the hypotheses that the units can write and the frames can carry."""
    written = [(vocabulary.encode(h.text), h.weight) for h in answer.hypotheses if h.text]
    return [(units, weight) for units, weight in written if frames_needed(units) <= num_frames]


def _record(utterance: Utterance, candidate: FilterInput, drop: Drop | None) -> dict[str, object]:
    return {
        "id": utterance.id,
        "speaker": utterance.speaker,
        "part": utterance.part,
        "duration_s": candidate.seconds,
        "raw": candidate.raw,
        "text": candidate.text,
        "confidence": candidate.confidence,
        "opinions": list(candidate.opinions),
        "reason": KEPT if drop is None else drop.reason,
        "detail": "" if drop is None else drop.detail,
    }
