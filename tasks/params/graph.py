"""Which models and teachers must be there before another one, and what a teacher gives."""

from pathlib import Path

from kd.config.frontend import FrontEndSettings
from tasks.params.pipeline import Params
from tasks.params.teachers import BundleTeacher, OnnxTeacher, PipelineModelTeacher, gives_posteriors
from tasks.params.trained import TrainedTeacher

MODELS = Path("models")
"""The folder of what stages make."""


def names(params: Params) -> list[str]:
    """All that models/ holds in the end: the teacher, further ones, ensembles, students."""
    return ["teacher", *params.teachers, *params.ensembles, *params.students]


def needs(params: Params, name: str) -> tuple[str, ...]:
    """What one of them is made from: names of others, and words such as random and none."""
    if name in params.students:
        return params.students[name].init, params.students[name].teacher
    if name in params.ensembles:
        return params.ensembles[name].first, params.ensembles[name].second
    other = params.teachers.get(name)
    return (other.path.name,) if isinstance(other, PipelineModelTeacher) and other.path.parent == MODELS else ()


def front_end_of(params: Params, name: str) -> FrontEndSettings | None:
    """The front end of a model of this file; None where only the weights that it comes from say it."""
    seen: set[str] = set()
    while name in params.students and name not in seen:
        seen.add(name)
        recipe = params.students[name]
        if recipe.init == "random":
            return recipe.frontend or params.frontend
        name = recipe.init
    if name == "teacher" and isinstance(params.teacher, TrainedTeacher):
        return params.teacher.frontend or params.frontend
    return None


def way_back(params: Params, start: str) -> list[str]:
    """The shortest way from one of them over what it is made from back to it; empty if there is none."""
    ways, seen = [[start]], {start}
    for way in ways:  # grows while it is read
        for target in needs(params, way[-1]):
            if target == start and len(way) > 1:
                return [*way, start]
            if target not in seen:
                seen.add(target)
                ways.append([*way, target])
    return []


def gives_text(params: Params, name: str, asked_by: tuple[str, ...] = ()) -> bool:
    """Whether a teacher gives transcripts alone, and no posteriors to compare frame by frame."""
    if name in params.ensembles and name not in asked_by:
        return any(gives_text(params, member, (*asked_by, name)) for member in needs(params, name))
    other = params.teachers.get(name)
    return other is not None and not gives_posteriors(other)


def gives_foreign_posteriors(params: Params, name: str) -> bool:
    """Whether a teacher gives frames of a network that is none of ours: torchaudio's, or an ONNX file's."""
    other = params.teachers.get(name)
    return isinstance(other, BundleTeacher | OnnxTeacher) and gives_posteriors(other)


def reads_logits(params: Params, name: str) -> bool:
    """Whether any student learns from this teacher's cached logits."""
    return any(r.teacher == name and not r.objective.reads_states for r in params.students.values())
