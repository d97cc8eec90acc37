"""How distillation went: a sentence for each model that had a teacher, and curves. From history and objective."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kd.config.losses import BlankSelected, ObjectiveSettings, OneDistillLoss, ShiftTolerant
from tasks.reporting.figures import epoch_curves
from tasks.reporting.results import Model
from tasks.reporting.wording import compact, percent

DROWNS = 10.0
"""Ratio of the gradients of teacher and labels from which one drowns the other."""
FLAT = 0.9
"""Share of the greatest entropy, log V of V units, from which a teacher's posteriors tell next to nothing."""
SILENT = 0.9
"""Share of the divergence, summed over frames, that lies in the teacher's blanks when these dominate."""
CHARTS = (
    ("Agreement of spikes with the teacher's", "spike_f1", "spikes that both have, in %", 100.0),
    ("Delay behind the teacher", "delay_ms", "ms, median over common spikes", 1.0),
    ("Entropy of the teacher", "teacher_entropy", "nats a frame", 1.0),
    ("Divergence in the teacher's non-blank frames", "nonblank_kl", "nats a frame", 1.0),
    ("Divergence in the teacher's blank frames", "blank_kl", "nats a frame", 1.0),
    ("Distance from the teacher's inner states", "features_loss", "loss a frame", 1.0),
    ("Distance from the teacher's relations", "relational_loss", "loss", 1.0),
    ("Teacher's gradient by the labels'", "gradient_ratio", "ratio of norms", 1.0),
)


@dataclass(frozen=True)
class Diagnosis:
    """sentences: by model; charts: title and SVG, none where no model had a teacher."""

    sentences: dict[str, str]
    charts: tuple[tuple[str, str], ...]


def diagnose(models: Sequence[Model], objectives: Mapping[str, ObjectiveSettings]) -> Diagnosis:
    """Sentences and charts of those models whose history tells of a teacher; objectives: by student."""
    told = {m.name: sentence_of(last_figures(m), m.num_units, objectives.get(m.name)) for m in models}
    sentences = {name: sentence for name, sentence in told.items() if sentence}
    known = [_with_ratio(m) for m in models]
    charts = tuple(
        (title, epoch_curves(known, column, label, scale))
        for title, column, label, scale in CHARTS
        if any(column in curve for curve in known)
    )
    return Diagnosis(sentences, charts)


def last_figures(model: Model) -> dict[str, float]:
    """Each figure of a history, in the last epoch that has it."""
    curve = model.curve
    return {name: float(values.iloc[-1]) for name in curve.columns if len(values := curve[name].dropna())}


def sentence_of(
    figures: dict[str, float], num_units: int | None = None, objective: ObjectiveSettings | None = None
) -> str:
    """What the figures of a training run say of teacher and student; empty without a teacher.

    Nothing is advised that the objective does already.
    """
    allowed = max((m.max_delay for m in _matches(objective) if isinstance(m, ShiftTolerant)), default=0)
    selected = any(isinstance(m, BlankSelected) for m in _matches(objective))
    parts = [
        *_spikes(figures, allowed),
        *_flatness(figures, num_units),
        *([] if selected else _blanks(figures)),
        *_gradients(figures),
    ]
    if not parts:
        return ""
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _matches(objective: ObjectiveSettings | None) -> Sequence[OneDistillLoss]:
    return objective.distill_losses if objective is not None and objective.uses_teacher else ()


def _spikes(figures: dict[str, float], allowed: int) -> list[str]:
    if "spike_f1" not in figures:
        return []
    shared = f"{percent(figures['spike_f1'])} of the student's and the teacher's "
    if "blank_kl" not in figures:
        return [f"{shared}answers in training agree"]
    if "delay_frames" not in figures:
        return ["student and teacher have no spike in common: the student may still emit blanks only"]
    frames, ms = figures["delay_frames"], figures["delay_ms"]
    if abs(frames) < 1:
        return [f"the student's spikes come when the teacher's do; {shared}spikes are common"]
    when = f"the student's spikes come {abs(ms):.0f} ms {'later' if frames > 0 else 'earlier'} than the teacher's"
    remedy = f": allow a delay of {frames:.0f} frame{'s' * (frames >= 1.5)}" if frames > allowed else ""
    return [f"{when}{remedy}; {shared}spikes are common"]


def _flatness(figures: dict[str, float], num_units: int | None) -> list[str]:
    if num_units is None or "teacher_entropy" not in figures:
        return []
    share = figures["teacher_entropy"] / math.log(num_units)
    if share < FLAT:
        return []
    return [f"the teacher is nearly flat, at {percent(share)} of the greatest entropy: it has little to teach"]


def _blanks(figures: dict[str, float]) -> list[str]:
    share = figures.get("blank_share", 0.0)
    if share < SILENT or "nonblank_kl" not in figures:  # a teacher of blanks only has nothing else to teach
        return []
    return [f"{percent(share)} of the divergence lies in the teacher's blank frames: blank_selected leaves it out"]


def _gradients(figures: dict[str, float]) -> list[str]:
    label, distill = (figures.get(f"{kind}_gradient", 0.0) for kind in ("label", "distill"))
    if not label or not distill:
        return []
    ratio = distill / label
    if ratio > DROWNS:
        return [f"the teacher's gradient drowns the labels', {compact(ratio, 2)} to 1: lower beta"]
    if ratio < 1 / DROWNS:
        return [f"the labels' gradient drowns the teacher's, {compact(1 / ratio, 2)} to 1: raise beta"]
    return [f"the gradients of teacher and labels stand {compact(ratio, 2)} to 1"]


def _with_ratio(model: Model) -> dict[str, Sequence[float]]:
    """Columns of a model's history, with the gradients' ratio where both are there."""
    curve = model.curve
    columns: dict[str, Sequence[float]] = {str(name): curve[name].tolist() for name in curve.columns}
    if {"label_gradient", "distill_gradient"} <= columns.keys():
        columns["gradient_ratio"] = (curve["distill_gradient"] / curve["label_gradient"]).tolist()
    return columns
