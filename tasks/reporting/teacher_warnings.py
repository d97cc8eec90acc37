"""What makes a teacher a doubtful one: a training that ended too early, or a baseline whose error rate is as low."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tasks.reporting.results import Model
from tasks.reporting.wording import percent


@dataclass(frozen=True)
class TeacherWarning:
    """mark: a few words beside its name in the table; sentence: for the text."""

    mark: str
    sentence: str


def teacher_warnings(models: Sequence[Model]) -> list[TeacherWarning]:
    """Of the teacher that was trained or adopted here; empty where there is nothing against it."""
    return [warning for model in models if model.row["role"] == "teacher" for warning in _warnings(model, models)]


def _warnings(teacher: Model, models: Sequence[Model]) -> Iterator[TeacherWarning]:
    if teacher.unfinished is not None:
        yield TeacherWarning("had not converged", f"The {teacher.name} had not converged: {teacher.unfinished}.")
    baselines = [model for model in models if model.row["role"] == "baseline"]
    least = min(baselines, key=lambda model: float(model.row["test_error"]), default=None)
    if least is not None and teacher.row["test_error"] >= least.row["test_error"]:
        yield TeacherWarning(
            f"no better than {least.name}",
            f"The {teacher.name} has no lower error rate than {least.name}, which had no teacher: "
            f"{percent(teacher.row['test_error'])} against {percent(least.row['test_error'])} on the test part. "
            "Its students learn from a model that has little to teach: mend its training first.",
        )
