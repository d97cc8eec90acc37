"""What was forgotten: every model's error on the canary beside that on the test part, against the teacher's."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kd.stats import Judgement, judge
from tasks.evaluation.canary import SPLIT
from tasks.params.evaluation import EvaluationParams
from tasks.params.pipeline import Teacher
from tasks.params.trained import NOTHING, PretrainedTeacher
from tasks.reporting.comparisons import difference
from tasks.reporting.results import Model
from tasks.reporting.wording import percent, points_of


@dataclass(frozen=True)
class CanaryRow:
    """One model. judgement, of its difference to the teacher there, and test_difference are None for the teacher."""

    model: str
    role: str
    error: float
    low: float
    high: float
    test_error: float
    judgement: Judgement | None
    test_difference: float | None


@dataclass(frozen=True)
class CanarySection:
    """facts: of the canary, by the names of metrics.json; sentences: what was forgotten, in words."""

    name: str
    facts: Mapping[str, Any]
    rows: tuple[CanaryRow, ...]
    sentences: tuple[str, ...]
    method: str


def canary_section(models: Sequence[Model], evaluation: EvaluationParams, teacher: Teacher) -> CanarySection | None:
    """None where no canary was evaluated. All its claims together hold with the confidence of params."""
    facts = models[0].canary
    if not facts:
        return None
    taught_by = next(model for model in models if model.row["role"] == "teacher")
    others = [model for model in models if model is not taught_by]
    margin = evaluation.margin.of(taught_by.canary["canary_error"])
    differences = [difference(model, taught_by, SPLIT) for model in others]
    judgements = judge(differences, [margin] * len(others), evaluation.confidence)
    judged = dict(zip((model.name for model in others), judgements, strict=True))
    rows = tuple(_row(model, taught_by, judged.get(model.name)) for model in models)
    sentences = tuple(_sentences(str(facts["canary"]), rows, margin, teacher))
    return CanarySection(str(facts["canary"]), facts, rows, sentences, str(facts["canary_interval_method"]))


def _row(model: Model, teacher: Model, judgement: Judgement | None) -> CanaryRow:
    found = model.canary
    return CanaryRow(
        model.name,
        model.row["role"],
        found["canary_error"],
        found["canary_error_low"],
        found["canary_error_high"],
        model.row["test_error"],
        judgement,
        None if judgement is None else difference(model, teacher).estimate,
    )


def _sentences(name: str, rows: Sequence[CanaryRow], margin: float, teacher: Teacher) -> Iterator[str]:
    """Of the students: a baseline had nothing to forget."""
    taught_by = next(row for row in rows if row.judgement is None)
    yield (
        f"On {name}, which nothing was trained on or chosen by, the error rate of the teacher is "
        f"{percent(taught_by.error)}; on the test part it is {percent(taught_by.test_error)}."
    )
    if isinstance(teacher, PretrainedTeacher):
        yield _of_pretrained(teacher)
        if teacher.fine_tune is None:
            return
    students = [row for row in rows if row.role == "student"]
    for claims, said in (
        (("worse",), "More than the margin of {} points was forgotten by {}."),
        (("better", "not worse"), "No more than the margin of {} points was forgotten by {}."),
        (
            ("too little data to tell",),
            "It cannot be told whether more than the margin of {} points was forgotten by {}.",
        ),
    ):
        found = [_compared(row) for row in students if row.judgement and row.judgement.claim in claims]
        if found:
            yield said.format(points_of(margin).removeprefix("+"), "; ".join(found))


def _of_pretrained(teacher: PretrainedTeacher) -> str:
    where = teacher.hub if teacher.path.as_posix() == NOTHING else teacher.path.as_posix()
    if teacher.fine_tune is None:
        return (
            f"The teacher is the pre-trained {where} with an output layer that has learnt nothing, so its error there "
            "is no measure of what students forgot: compare the students with each other."
        )
    return (
        f"The teacher is the pre-trained {where}, fine-tuned here: what students lack against it there is what they "
        "lost of its general speech. What the fine-tuning itself lost is not seen: before it, no output layer knew "
        "these units."
    )


def _compared(row: CanaryRow) -> str:
    assert row.judgement is not None
    assert row.test_difference is not None
    judgement = row.judgement
    return (
        f"{row.model} ({points_of(judgement.estimate)} points against the teacher, {points_of(judgement.low)} to "
        f"{points_of(judgement.high)}; on the test part {points_of(row.test_difference)})"
    )
