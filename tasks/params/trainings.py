"""How each model of params.yaml is trained.

The digest of every stage counts this module, since its threads follow from it. It imports settings for their types
alone: else every stage would run again whenever any of them is edited.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kd.config.training import TrainingSettings
    from tasks.params.pipeline import Params, Recipe
    from tasks.params.trained import FineTune, PretrainedTeacher, TrainedTeacher


def training_of(params: "Params", student: str) -> "TrainingSettings":
    """How a student is trained: as its recipe says, or as all are. Raises KeyError if there is no such student."""
    return params.students[student].training or params.student_training


def is_baseline(recipe: "Recipe") -> bool:
    """Whether no teacher ever touches a student: random weights, labels only."""
    return recipe.init == "random" and recipe.teacher == "none"


def key_of(name: str) -> str:
    """Where params.yaml describes a teacher: `teacher`, or `teachers.NAME`."""
    return "teacher" if name == "teacher" else f"teachers.{name}"


def pretrained(params: "Params") -> "dict[str, PretrainedTeacher]":
    """Teachers with weights that others trained, by their keys."""
    every = {"teacher": params.teacher, **{key_of(name): other for name, other in params.teachers.items()}}
    return {key: teacher for key, teacher in every.items() if teacher.source == "pretrained"}


def teacher_trainings(params: "Params") -> "dict[str, TrainedTeacher | FineTune]":
    """Teachers that are trained here, by the key of how."""
    found: dict[str, TrainedTeacher | FineTune] = {}
    if params.teacher.source == "train":
        found["teacher"] = params.teacher
    tuned = {f"{key}.fine_tune": teacher.fine_tune for key, teacher in pretrained(params).items()}
    return found | {key: how for key, how in tuned.items() if how is not None}


def training_of_teacher(params: "Params", name: str) -> "TrainedTeacher | FineTune | None":
    """How a teacher is trained here; None where it is taken as it is."""
    trainings, key = teacher_trainings(params), key_of(name)
    return trainings.get(key) or trainings.get(f"{key}.fine_tune")
