"""Inner states that a loss compares: whether the teacher shows any, and whether the layers are there."""

from collections.abc import Iterator

from kd.config.losses import Features
from kd.config.models import EncoderSettings
from kd.config.states import NEEDS_STATES, require_layers, state_widths
from tasks.params.graph import gives_foreign_posteriors, gives_text, needs
from tasks.params.pipeline import Params, Recipe
from tasks.params.teachers import PipelineModelTeacher


def state_problems(params: Params) -> Iterator[str]:
    """One line for each student whose losses could not see what they compare."""
    for name, recipe in params.students.items():
        if recipe.objective.reads_states:
            yield from _teacher_problems(params, name, recipe)
            if recipe.objective.features is not None:
                yield from _layer_problems(params, name, recipe, recipe.objective.features)


def _teacher_problems(params: Params, name: str, recipe: Recipe) -> Iterator[str]:
    if gives_text(params, recipe.teacher):  # which the checks of teachers say
        return
    loss = next(distill.name for distill in recipe.objective.distill_losses if distill.name in NEEDS_STATES)
    key = f"students.{name}.objective.distill: {loss} compares inner states, but {recipe.teacher}"
    if recipe.teacher in params.ensembles:
        yield f"{key} is an ensemble, which has none of its own: name one of its members as the teacher"
    elif gives_foreign_posteriors(params, recipe.teacher):
        yield f"{key} shows posteriors alone: match those, or name a model of this pipeline as the teacher"


def _layer_problems(params: Params, name: str, recipe: Recipe, settings: Features) -> Iterator[str]:
    """What can be said before propagation and adopted checkpoints are known; training refuses the rest."""
    student, teacher = recipe.model, _spelled_out(params, recipe.teacher)
    try:
        if student is not None:
            require_layers(settings, "student", len(state_widths(student)))
        if teacher is not None:
            require_layers(settings, "teacher", len(state_widths(teacher)))
    except ValueError as error:
        yield f"students.{name}.objective.distill: {error}"


def _spelled_out(params: Params, name: str) -> EncoderSettings | None:
    """The shape of a model, where params.yaml spells it out: of one that is cut from another, layers may be gone."""
    if isinstance(params.teachers.get(name), PipelineModelTeacher):  # an assistant
        name = next(iter(needs(params, name)), name)
    if name == "teacher":
        return params.teacher.model if params.teacher.source == "train" else None
    return params.students[name].model if name in params.students else None
