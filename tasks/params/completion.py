"""What a recipe leaves open and another part of params.yaml decides. Counted by the digests of stages that read it."""

from typing import Any

from kd.config.filtering import FilterSettings
from kd.config.shrink import for_problem
from tasks.params.graph import gives_text
from tasks.params.pipeline import Params, Recipe

COMPLETED = ("filter", "shrink")
"""The keys of a recipe."""


def with_defaults(params: Params) -> Params:
    """With a filter where the teacher gives text and the recipe says nothing, and shrinking as the problem wants it."""

    def completed(recipe: Recipe) -> Recipe:
        given: dict[str, Any] = {}
        if "filter" not in recipe.model_fields_set and gives_text(params, recipe.teacher):
            given["filter"] = FilterSettings()
        if recipe.shrink is not None:
            given["shrink"] = for_problem(recipe.shrink, params.problem.kind)
        return recipe.model_copy(update=given)

    students = {name: completed(recipe) for name, recipe in params.students.items()}
    return params.model_copy(update={"students": students})
