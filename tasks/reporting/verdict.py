"""The report's headline: which student to take, and what is known of its errors, in numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

from kd.stats import paired_interval
from tasks.reporting.choice import best_student, lowest
from tasks.reporting.results import Model

NARROW = "\N{NARROW NO-BREAK SPACE}"
ERROR_WORDS = {"wer": "word errors", "keyword_error": "wrong keywords"}


@dataclass(frozen=True)
class Verdict:
    """headline: one sentence; details: further sentences, with the intervals."""

    best: str
    headline: str
    details: tuple[str, ...]


def judge(models: Sequence[Model], confidence: float) -> Verdict:
    """Take the student of lowest validation error (of equals the smallest file), and judge it on the test part.

    The choice does not see the test part, so the figures that are given for it there are fair.
    """
    rows = [m.row for m in models]
    name = best_student(rows) or lowest(row for row in rows if row["role"] != "teacher") or lowest(rows)
    best = next(m for m in models if m.name == name)
    teacher = next((m for m in models if m.row["role"] == "teacher" and m is not best), None)
    what = ERROR_WORDS[best.row["error_kind"]]
    headline = f"{best.name} makes {percent(best.row['test_error'])} {what}"
    if teacher is not None:
        headline += f" where the teacher makes {percent(teacher.row['test_error'])}, with {costs(best, teacher)}"
    details = [
        f"It was chosen by its validation error, {percent(best.row['valid_error'])}. "
        f"On the test part the {100 * confidence:.0f}{NARROW}% interval over speakers reaches from "
        f"{percent(best.row['test_error_low'])} to {percent(best.row['test_error_high'])}."
    ]
    if teacher is not None:
        details.append(compare(best, teacher, "the teacher", confidence))
    rivals = [m for m in models if m.row["role"] == "baseline" and m is not best]
    if rivals:
        rival = min(rivals, key=lambda m: m.row["valid_error"])
        details.append(compare(best, rival, f"{rival.name}, which had no teacher,", confidence))
    return Verdict(best.name, headline + ".", tuple(details))


def compare(model: Model, other: Model, name: str, confidence: float) -> str:
    """One sentence: the paired difference on the test part, and whether it can be told from zero."""
    ours, theirs = model.test, other.test
    if ours["id"].tolist() != theirs["id"].tolist():
        raise ValueError(f"{model.name} and {other.name} were evaluated on different utterances. Evaluate both again")
    interval = paired_interval(
        ours["errors"].tolist(),
        theirs["errors"].tolist(),
        ours["reference_units"].tolist(),
        [None if missing else str(s) for s, missing in zip(ours["speaker"], ours["speaker"].isna(), strict=True)],
        confidence=confidence,
    )
    points = f"{points_of(interval.estimate)} points ({points_of(interval.low)} to {points_of(interval.high)})"
    if interval.high < 0:
        return f"Paired with {name} it errs less: {points}."
    if interval.low > 0:
        return f"Paired with {name} it errs more: {points}."
    return f"Paired with {name} no difference can be told: {points}."


def costs(model: Model, teacher: Model) -> str:
    """What the model takes of the teacher's bytes and time; its non-zero weights where the bytes do not tell."""
    size, weights, time = (model.row[k] / teacher.row[k] for k in ("size_bytes", "nonzero_params", "rtf"))
    sparse = f", {share(weights, 'non-zero weights')}" if weights < 0.9 * size else ""
    return f"{share(size, 'bytes')}{sparse} and {share(time, 'time')}"


def percent(rate: float) -> str:
    return f"{100 * rate:.1f}{NARROW}%"


def points_of(difference: float) -> str:
    """A difference of rates in percentage points, with its sign."""
    return f"{100 * difference:+.1f}".replace("-", "−")


def share(ratio: float, what: str) -> str:
    """`1/19 of its bytes`, `76 % of its bytes`, `the same bytes` (within 5 %) or `1.3 times its bytes`."""
    if ratio <= 0.4:
        return f"1/{1 / ratio:.0f} of its {what}"
    if ratio < 0.95:
        return f"{100 * ratio:.0f}{NARROW}% of its {what}"
    return f"the same {what}" if ratio <= 1.05 else f"{ratio:.1f} times its {what}"
