"""Which models and teachers must be there before another one, and what a teacher gives."""

from pathlib import Path
from typing import TYPE_CHECKING

from tasks.params.teachers import BundleTeacher, PipelineModelTeacher, gives_frames

if TYPE_CHECKING:
    from tasks.params.pipeline import Params

MODELS = Path("models")


def names(params: "Params") -> list[str]:
    """All that models/ holds in the end: the teacher, further ones, ensembles, students."""
    return ["teacher", *params.teachers, *params.ensembles, *params.students]


def needs(params: "Params", name: str) -> tuple[str, ...]:
    """What one of them is made from: names of others, and words such as random and none."""
    if name in params.students:
        return params.students[name].init, params.students[name].teacher
    if name in params.ensembles:
        return params.ensembles[name].first, params.ensembles[name].second
    other = params.teachers.get(name)
    return (other.path.name,) if isinstance(other, PipelineModelTeacher) and other.path.parent == MODELS else ()


def way_back(params: "Params", start: str) -> list[str]:
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


def gives_text(params: "Params", name: str, asked_by: tuple[str, ...] = ()) -> bool:
    """Whether a teacher gives transcripts alone, and no posteriors to compare frame by frame."""
    if name in params.ensembles and name not in asked_by:
        return any(gives_text(params, member, (*asked_by, name)) for member in needs(params, name))
    other = params.teachers.get(name)
    return other is not None and not gives_frames(other)


def foreign_frames(params: "Params", name: str) -> bool:
    """Whether a teacher gives frames of a network that is none of ours."""
    other = params.teachers.get(name)
    return isinstance(other, BundleTeacher) and gives_frames(other)


def reads_logits(params: "Params", name: str) -> bool:
    """Whether any student learns from this teacher's cached logits."""
    return any(r.teacher == name and not r.objective.reads_states for r in params.students.values())
