"""The report's headline: which student to take, and what is known of its errors, in numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.metric_names import ERROR_WORDS
from tasks.reporting.choice import best_student, lowest
from tasks.reporting.comparisons import Comparison
from tasks.reporting.results import Model
from tasks.reporting.wording import NARROW, percent, points_of, share


@dataclass(frozen=True)
class Verdict:
    """headline: one sentence; details: further sentences, with the intervals."""

    best: str
    headline: str
    details: tuple[str, ...]


def conclude(models: Sequence[Model], comparisons: Sequence[Comparison], confidence: float) -> Verdict:
    """Take the student of lowest validation error (of equals the smallest file), and judge it on the test part.

    The choice does not see the test part, so the figures that are given for it there are fair.
    """
    rows = [m.row for m in models]
    name = best_student(rows) or lowest(row for row in rows if row["role"] != "teacher") or lowest(rows)
    best = next(m for m in models if m.name == name)
    teacher = next((m for m in models if m.row["role"] == "teacher" and m is not best), None)
    what = ERROR_WORDS[best.row["error_kind"]]
    headline = f"{best.name} has a {what} of {percent(best.row['test_error'])}"
    if teacher is not None:
        headline += f" where the teacher has {percent(teacher.row['test_error'])}, with {costs(best, teacher)}"
    chosen = (
        f"It was chosen by its validation {what}, {percent(best.row['valid_error'])}. "
        f"On the test part the {100 * confidence:.0f}{NARROW}% interval reaches from "
        f"{percent(best.row['test_error_low'])} to {percent(best.row['test_error_high'])} "
        f"({best.interval_method})."
    )
    said = (sentence(c) for c in comparisons if c.model == best.name)
    return Verdict(best.name, headline + ".", (chosen, *said))


def sentence(comparison: Comparison) -> str:
    """What is known of the difference."""
    name = "the teacher" if comparison.against == "teacher" else f"{comparison.other}, which had no teacher"
    if comparison.against == "baseline" and not comparison.twin:
        name += " and has another shape"
    judgement, bounds = comparison.judgement, comparison.bounds
    margin = points_of(judgement.margin).removeprefix("+")
    if judgement.claim == "too little data to tell":
        return (
            f"There is too little data to tell whether its error rate is above that of {name}, "
            f"by more than the margin of {margin}: {bounds}; {comparison.needed}."
        )
    within = f", with a margin of {margin}" if judgement.claim != "better" else ""
    return f"It is {judgement.claim} than {name}: {bounds}{within}."


def costs(model: Model, teacher: Model) -> str:
    """What the model takes of the teacher's bytes and time; its non-zero weights where the bytes do not tell."""
    size, weights, time = (model.row[k] / teacher.row[k] for k in ("size_bytes", "nonzero_params", "rtf"))
    sparse = f", {share(weights, 'non-zero weights')}" if weights < 0.9 * size else ""
    return f"{share(size, 'bytes')}{sparse} and {share(time, 'time')}"
