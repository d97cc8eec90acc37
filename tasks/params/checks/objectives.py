"""Losses against the problem, the teacher and the layers that they look at."""

from collections.abc import Iterator

from kd.config.losses import NEEDS_BLANK
from kd.config.self_distillation import inner_layers
from tasks.params.graph import gives_text
from tasks.params.pipeline import Params
from tasks.params.trainings import teacher_trainings


def objective_problems(params: Params) -> Iterator[str]:
    """One line for each mistake in losses that the problem or the models cannot have."""
    yield from _loss_problems(params)
    yield from _self_problems(params)


def _loss_problems(params: Params) -> Iterator[str]:
    for name, recipe in params.students.items():
        for loss in (distill.name for distill in recipe.objective.distill_losses):
            if params.problem.kind == "keyword" and loss in NEEDS_BLANK:
                yield (
                    f"students.{name}.objective.distill: {loss} looks for CTC's blank, which keywords have not: use "
                    "soft_targets"
                )
            if params.problem.kind == "keyword" and loss == "hypotheses" and not gives_text(params, recipe.teacher):
                yield (
                    f"students.{name}.objective.distill: {recipe.teacher} gives posteriors, among which hypotheses "
                    "searches CTC's paths, which a keyword problem has not: use soft_targets"
                )


def _self_problems(params: Params) -> Iterator[str]:
    """Self-distillation looks at CTC's frames, at two views that differ, and at layers that are there."""
    learners = {f"students.{n}": (r.objective, params.student_augment, r.model) for n, r in params.students.items()}
    for key, how in teacher_trainings(params).items():
        learners[key] = how.objective, how.augment, getattr(how, "model", None)
    for key, (objective, augment, encoder) in learners.items():
        if objective.self_distillation and params.problem.kind == "keyword":
            loss = objective.self_distillation[0].name
            yield f"{key}.objective.self_distillation: {loss} is for CTC, which a keyword problem has not: remove it"
        if objective.two_views and not augment.masks_features:
            where = "student_augment" if key.startswith("students.") else f"{key}.augment"
            yield (
                f"{key}.objective.self_distillation: cr_ctc compares two masked views, but {where} masks nothing: set "
                "its time_masks or frequency_masks"
            )
        if objective.intermediate and encoder is not None:
            try:
                inner_layers(objective.intermediate, getattr(encoder, "layers", 0))
            except ValueError as error:
                yield f"{key}.objective.self_distillation: {error}"
