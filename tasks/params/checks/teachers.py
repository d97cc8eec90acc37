"""Teachers, ensembles and students against each other and against the parts of the corpus."""

from collections.abc import Iterable, Iterator

from tasks.params.corpora import part_names
from tasks.params.errors import did_you_mean
from tasks.params.graph import (
    MODELS,
    gives_foreign_posteriors,
    gives_text,
    names,
    needs,
    way_back,
)
from tasks.params.pipeline import Params, Recipe
from tasks.params.teachers import CheckpointTeacher, PipelineModelTeacher, TranscribingTeacher
from tasks.params.trained import PretrainedTeacher
from tasks.params.trainings import teacher_trainings


def teacher_problems(params: Params) -> Iterator[str]:
    """One line for each mistake in what teachers supply, and students ask of them."""
    yield from _name_problems(params)
    yield from _member_problems(params)
    yield from _part_problems(params)
    for name, recipe in params.students.items():
        yield from _supervision_problems(name, recipe)
        yield from _text_problems(params, name, recipe)


def hint(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or nothing."""
    asked = did_you_mean(word, known).strip()
    return asked and f" ({asked})"


def _name_problems(params: Params) -> Iterator[str]:
    for section, others in (
        ("teachers", params.ensembles),
        ("ensembles", params.students),
        ("teachers", params.students),
    ):
        for name in getattr(params, section).keys() & others.keys():
            yield (
                f"{section}.{name}: another model of this file has that name, and each folder under models/ has one "
                "owner: rename one of them"
            )


def _member_problems(params: Params) -> Iterator[str]:
    known = names(params)
    for name, ensemble in params.ensembles.items():
        for key, member in (("first", ensemble.first), ("second", ensemble.second)):
            if member not in known or member == name:
                why = "is this ensemble itself" if member == name else "is no model of this file"
                yield f"ensembles.{name}.{key}: '{member}' {why}{hint(member, (k for k in known if k != name))}"
            elif ensemble.combine == "mean" and gives_text(params, member):
                yield f"ensembles.{name}.combine: {member} gives text, of which there is no mean: use max_confidence"
            elif gives_foreign_posteriors(params, member):
                yield (
                    f"ensembles.{name}.{key}: {member} gives frames of a network that is not ours, which fit no other "
                    f"teacher's: set teachers.{member}.output: text and combine: max_confidence"
                )
        if way := way_back(params, name):
            yield f"ensembles.{name}: its members lead back to itself ({' -> '.join(way)}): replace one of them"
    for name, teacher in params.teachers.items():
        if isinstance(teacher, PipelineModelTeacher) and teacher.path.parent == MODELS:
            (model,) = needs(params, name)
            if model not in known:
                yield f"teachers.{name}.path: '{model}' is no model of this file{hint(model, known)}"
            elif gives_text(params, model):
                yield f"teachers.{name}.path: {model} gives text already: let students name it as their teacher"
            elif gives_foreign_posteriors(params, model):
                yield f"teachers.{name}.path: {model} is no model of ours: let students name it as their teacher"


def _part_problems(params: Params) -> Iterator[str]:
    parts = part_names(params.corpus)
    said: dict[str, Iterable[str]] = {
        f"teachers.{name}.parts": teacher.parts or ()
        for name, teacher in params.teachers.items()
        if not isinstance(teacher, CheckpointTeacher | PretrainedTeacher)
    }
    said |= {f"students.{name}.supervision": recipe.supervision or () for name, recipe in params.students.items()}
    for key, how in teacher_trainings(params).items():
        said[f"{key}.supervision"] = how.supervision or ()
        if how.supervision and "labelled" not in how.supervision.values():
            yield f"{key}.supervision: no part is labelled, and it has nothing else to learn from: set one to labelled"
    for key, chosen in said.items():
        for part in chosen:
            if part not in parts:
                yield f"{key}: '{part}' is no part of the corpus, which has {', '.join(parts)}{hint(part, parts)}"


def _supervision_problems(name: str, recipe: Recipe) -> Iterator[str]:
    if recipe.supervision is None:
        return
    seen = set(recipe.supervision.values())
    if "labelled" not in seen and recipe.objective.label_weight > 0:
        yield f"students.{name}.supervision: no part is labelled, but objective.label_weight is not 0: set it to 0"
    if "unlabelled" in seen and recipe.teacher == "none":
        yield f"students.{name}.supervision: unlabelled audio teaches nothing without a teacher: name one, or remove it"


def _text_problems(params: Params, name: str, recipe: Recipe) -> Iterator[str]:
    if not gives_text(params, recipe.teacher):
        if recipe.filter is not None:
            yield (
                f"students.{name}.filter: {recipe.teacher} gives posteriors, not transcripts; remove filter, or let "
                "teachers: {…: {source: model, path: models/…}} transcribe instead"
            )
        return
    for distill in recipe.objective.distill_losses:
        if distill.name != "hypotheses":
            yield (
                f"students.{name}.objective.distill: {recipe.teacher} gives text and no posteriors: "
                f"use distill: {{name: hypotheses}} in place of {distill.name}"
            )
    other = params.teachers.get(recipe.teacher)
    alone = other is not None and not (isinstance(other, TranscribingTeacher) and other.speeds)
    if recipe.filter is not None and recipe.filter.max_disagreement is not None and alone:
        yield (
            f"students.{name}.filter.max_disagreement: {recipe.teacher} has no second opinion: give it speeds "
            "(where this pipeline runs it), or join it with another teacher in ensembles"
        )
