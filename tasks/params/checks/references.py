"""Names that recipes give: whether such a model is there, and whether they lead in a circle."""

from collections.abc import Iterator

from tasks.params.errors import did_you_mean
from tasks.params.graph import way_back
from tasks.params.pipeline import Params
from tasks.params.teachers import CheckpointTeacher
from tasks.params.trained import PretrainedTeacher


def reference_problems(params: Params) -> Iterator[str]:
    """One line for each mistake in names of models and teachers that are not there."""
    weights = ["teacher", *params.students]
    weights += [name for name, t in params.teachers.items() if isinstance(t, CheckpointTeacher | PretrainedTeacher)]
    teachers = [*weights, *params.teachers, *params.ensembles]
    for name, recipe in params.students.items():
        for key, target, known in (
            ("init", recipe.init, ["random", *weights]),
            ("teacher", recipe.teacher, ["none", *teachers]),
        ):
            if target not in known or target == name:
                others = [k for k in known if k != name]
                why = "is this student itself" if target == name else "is no model of this file"
                hint = did_you_mean(target, others)
                yield f"students.{name}.{key}: '{target}' {why}; {hint}there are {', '.join(others)}"
    for name in params.students:
        if way := way_back(params, name):
            yield (
                f"students.{name}: its init and teacher lead back to itself ({' -> '.join(way)}): let one of these "
                "begin or learn elsewhere"
            )
