"""The design of a study: its cells, with their parameters and folders. Loads without torch."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, WithJsonSchema, model_validator

from kd.config.base import Strict
from kd.config.renamed import in_old_words
from tasks.params.errors import ParamsError, explain
from tasks.params.graph import MODELS, names, needs
from tasks.params.load import parse_params
from tasks.params.overrides import ABOUT_OVERRIDES, ABOUT_PARAMS, MAPPING_OR_PATH, put, read_with_overrides
from tasks.params.pipeline import Params
from tasks.params.shape import require_shape

MOST_CELLS = 300
"""Each is checked before the first is begun."""


class Study(Strict):
    """A full design: every fold with every seed."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$", max_length=100, description="names its folder and its tables")
    fold_key: str = Field(description="dotted key of params that the folds set, such as corpus.test_speaker")
    folds: tuple[Annotated[str, Field(pattern=r"^[^/\\s][^/]*$", max_length=60)], ...] = Field(
        min_length=1, description="values of fold_key, such as the speakers that are tested in turn"
    )
    seeds: tuple[int, ...] = Field(
        min_length=1, description="of all trainings; every fold is done with each, at most 300 cells in all"
    )
    params: Annotated[dict[str, Any], WithJsonSchema(MAPPING_OR_PATH)] = Field(description=ABOUT_PARAMS)
    overrides: dict[str, Any] = Field({}, description=ABOUT_OVERRIDES)

    @model_validator(mode="after")
    def _can_be_done(self) -> Self:
        count = len(self.folds) * len(self.seeds)
        if count > MOST_CELLS:
            raise ValueError(
                f"{len(self.folds)} folds with {len(self.seeds)} seeds each are {count} cells, and {MOST_CELLS} is the "
                "most: make several studies of them"
            )
        return self


@dataclass(frozen=True)
class Cell:
    """One run of a study: a fold with a seed. root: its folder; project: where the command was called."""

    study: str
    fold: str
    seed: int
    params: Params
    root: Path
    project: Path

    @property
    def rows(self) -> Path:
        return self.root / "rows"


def load_study(file: Path) -> Study:
    """Read and check a study; raises ParamsError with one line for each mistake.

    A path in `params` is read from the project's folder, from which the command is called.
    """
    try:
        return Study.model_validate(read_with_overrides(file))
    except ValidationError as error:
        raise ParamsError(explain(error, Study)) from None


def cells(study: Study, project: Path) -> Iterator[Cell]:
    """All cells, seed by seed, so that every fold has one before any has two."""
    for seed in study.seeds:
        for fold in study.folds:
            yield make_cell(study, fold, seed, project)


def make_cell(study: Study, fold: str, seed: int, project: Path) -> Cell:
    """The cell's parameters: the study's, with the fold's value, the seed, and absolute paths of what it reads."""
    require_shape(study.params)
    data = json.loads(json.dumps(study.params))
    try:
        put(data, study.fold_key, fold)
        put(data, "student_training.seed", seed)
    except KeyError as error:
        raise ParamsError([f"fold_key: {error.args[0]}"]) from None
    require_shape(data)
    recipes = [*data["students"].values(), *([data["teacher"]] if data["teacher"].get("source") == "train" else [])]
    for recipe in recipes:
        if isinstance(recipe.get("training"), dict):
            recipe["training"]["seed"] = seed
    digest = blake2b(json.dumps(in_old_words(data), sort_keys=True).encode(), digest_size=4).hexdigest()
    make_absolute(data, project)
    root = project / "scratch" / "studies" / study.name / f"{fold}-{seed}-{digest}"
    return Cell(study.name, fold, seed, parse_params(data), root, project)


def make_absolute(data: dict[str, Any], project: Path) -> None:
    """Corpora's roots, and what other teachers are read from, unless the cell makes it under models/ itself."""
    corpus, canaries = data["corpus"], data.get("evaluation", {}).get("canary", {}).values()
    parts = [*corpus.get("parts", {}).values(), *canaries]
    for place in (corpus, *(part["corpus"] for part in parts)):
        place["root"] = str((project / place["root"]).resolve())
    for teacher in (data["teacher"], *data.get("teachers", {}).values()):
        if "path" in teacher and Path(teacher["path"]).parent != MODELS:
            teacher["path"] = str((project / teacher["path"]).resolve())


def models_in_order(params: Params) -> list[str]:
    """The teacher and the students, each after those that it is made from: what a row is written for."""
    placed, waiting = list[str](), names(params)
    while waiting:  # parameters are refused where they lead in a circle
        following = next(name for name in waiting if not {*needs(params, name)} & {*waiting})
        waiting.remove(following)
        placed.append(following)
    return [name for name in placed if name == "teacher" or name in params.students]


def commit() -> str:
    """The code's commit, with a plus where files differ from it; empty without git."""
    command = ["git", "describe", "--always", "--dirty=+", "--abbrev=10"]
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
