"""One cell of a study: all models of one fold and seed, trained and scored in a folder of their own.

`python -m tasks.studies.cell SPEC FOLD SEED [FOLDER]`. A cell resumes where it was stopped: what has a row is not
done again, and a training goes on after its last epoch. The folder's name holds a hash of the cell's
parameters, so a changed study never takes over old results; a change of code does not show in it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Self

import pandas as pd
from filelock import FileLock
from pydantic import Field, ValidationError, model_validator

from kd.settings.base import Strict
from tasks.dotted import put
from tasks.fresh import write_whole
from tasks.guard import end_with
from tasks.kept_files import read_whole_json
from tasks.params.errors import ParamsError, explain
from tasks.params.graph import MODELS, names, needs
from tasks.params.pipeline import Params, parse_params
from tasks.params.shape import require_shape
from tasks.paths import Paths
from tasks.strict_yaml import read_yaml
from tasks.studies.sharing import link_corpus_and_teacher
from tasks.watch import Lines

MOST_CELLS = 300
"""Each is checked before the first is begun."""


class Study(Strict):
    """A full design: every fold with every seed. `params` is a whole params.yaml."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$", max_length=100, description="names its folder and its tables")
    fold_key: str = Field(description="dotted key of params that the folds set, such as corpus.test_speaker")
    folds: tuple[Annotated[str, Field(pattern=r"^[^/\\s][^/]*$", max_length=60)], ...] = Field(min_length=1)
    seeds: tuple[int, ...] = Field(min_length=1)
    params: dict[str, Any]

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
    study: str
    fold: str
    seed: int
    params: Params
    root: Path

    @property
    def rows(self) -> Path:
        return self.root / "rows"


def load_study(file: Path) -> Study:
    """Read and check a study; raises ParamsError with one line for each mistake."""
    try:
        return Study.model_validate(read_yaml(file))
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
    digest = blake2b(json.dumps(data, sort_keys=True).encode(), digest_size=4).hexdigest()
    make_absolute(data, project)
    root = project / "scratch" / "studies" / study.name / f"{fold}-{seed}-{digest}"
    return Cell(study.name, fold, seed, parse_params(data), root)


def make_absolute(data: dict[str, Any], project: Path) -> None:
    """Corpora's roots, and what other teachers are read from, unless the cell makes it under models/ itself."""
    corpus = data["corpus"]
    for place in (corpus, *(part["corpus"] for part in corpus.get("parts", {}).values())):
        place["root"] = str((project / place["root"]).resolve())
    for teacher in data.get("teachers", {}).values():
        if Path(teacher["path"]).parent != MODELS:
            teacher["path"] = str((project / teacher["path"]).resolve())


def steps_in_order(params: Params) -> list[str]:
    """The teacher, further ones, ensembles and students in the file's order, but each after those it is made from."""
    placed, waiting = ["teacher"], [name for name in names(params) if name != "teacher"]
    while waiting:  # parameters are refused where they lead in a circle
        following = next(name for name in waiting if not {*needs(params, name)} & {*waiting})
        waiting.remove(following)
        placed.append(following)
    return placed


def models_in_order(params: Params) -> list[str]:
    """The teacher and the students: what a row is written for."""
    return [name for name in steps_in_order(params) if name == "teacher" or name in params.students]


def run_cell(cell: Cell) -> None:
    """Do what is not done yet of a cell; one row for each model is its result.

    One process at a time: a second one waits, and then finds the work done.
    """
    cell.rows.mkdir(parents=True, exist_ok=True)
    with FileLock(cell.root / "lock"):
        _run_cell(cell)


def _run_cell(cell: Cell) -> None:
    from tasks import distil, ensembles, outputs, propagate, teachers

    paths = Paths(cell.root)
    _prepare(cell, paths)
    for model in steps_in_order(cell.params):
        file = cell.rows / f"{model}.json"
        if model in {**cell.params.teachers, **cell.params.ensembles}:
            stage = teachers if model in cell.params.teachers else ensembles
            if not paths.model(model).exists():
                stage.run(cell.params, paths, model, _watch(cell, model))
            if not paths.outputs(model).exists():
                outputs.run(cell.params, paths, model, _watch(cell, f"outputs-{model}"))
            continue
        if read_whole_json(file) is not None:
            continue
        if model != "teacher":
            propagate.run(cell.params, paths, model, _watch(cell, f"initial-{model}"))
            distil.run(cell.params, paths, model, _watch(cell, model))
        write_whole(file, json.dumps(_score(cell, paths, model), indent=1))


def _prepare(cell: Cell, paths: Paths) -> None:
    studies = cell.root.parent.parent
    link_corpus_and_teacher(cell.params, cell.root, studies, partial(_watch, cell))
    paths.scratch.mkdir(exist_ok=True)
    for name in (
        "heard",
        "features",
    ):  # no two cells ask a recogniser about the same audio, or compute features twice
        (cell.root.parent / name).mkdir(exist_ok=True)
        with suppress(FileExistsError):
            (paths.scratch / name).symlink_to(Path("..", "..", name))


def _score(cell: Cell, paths: Paths, model: str) -> dict[str, Any]:
    from kd.macs import count_params, macs_per_audio_second
    from tasks.checkpoint import load_checkpoint
    from tasks.data import PreparedData
    from tasks.evaluate import ERROR_KINDS, error_rows
    from tasks.export import write_float32
    from tasks.forms.hearing import Ear
    from tasks.teacher import best_metrics

    checkpoint = load_checkpoint(paths.model(model))
    data = PreparedData.load(paths.prepared)
    ear = Ear(data, write_float32(checkpoint, paths.export(model)))
    recogniser = ear.open(ear.bundle.folder / "model.onnx")
    utterances = data.split("test")
    test = pd.DataFrame(error_rows(ear, utterances, (ear.heard(recogniser, utterance) for utterance in utterances)))
    best = best_metrics(pd.read_csv(paths.model(model) / "history.csv").to_dict("records"))
    params, nonzero = count_params(checkpoint.model)
    errors, units = int(test["errors"].sum()), int(test["reference_units"].sum())
    return {
        "study": cell.study,
        "commit": commit(),
        "fold": cell.fold,
        "seed": cell.seed,
        "model": model,
        "role": checkpoint.role,
        "init": checkpoint.init,
        "objective": checkpoint.objective,
        "params": params,
        "nonzero_params": nonzero,
        "macs_per_audio_second": macs_per_audio_second(
            checkpoint.model, checkpoint.model.settings, checkpoint.frontend
        ),
        "error_kind": ERROR_KINDS[checkpoint.model.settings.problem],
        "initial_valid_error": checkpoint.facts.get("initial_valid_error"),
        "valid_error": float(best["valid_error"]),
        "best_epoch": int(best["best_epoch"]),
        "epochs": int(best["epochs"]),
        "test_error": errors / units,
        "errors": errors,
        "units": units,
        "char_errors": int(test["char_errors"].sum()),
        "char_units": int(test["char_units"].sum()),
        "utterances": len(test),
        "by_speaker": _by_speaker(test),
    }


def _by_speaker(test: pd.DataFrame) -> str:
    """Errors and reference units of each speaker, as JSON: `{"anna": [3, 120]}`; "" is who is not named."""
    sums = test.groupby(test["speaker"].fillna(""))[["errors", "reference_units"]].sum()
    return json.dumps({str(name): [int(wrong), int(of)] for name, wrong, of in sums.itertuples()})


def commit() -> str:
    """The code's commit, with a plus where files differ from it; empty without git."""
    command = ["git", "describe", "--always", "--dirty=+", "--abbrev=10"]
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _watch(cell: Cell, step: str) -> Lines:
    return Lines(cell.root / "scratch" / step, f"{cell.fold}-{cell.seed} {step}")


if __name__ == "__main__":
    end_with(os.getppid())
    study_file, fold_name, seed_text, *folder = sys.argv[1:]
    run_cell(make_cell(load_study(Path(study_file)), fold_name, int(seed_text), Path(*folder)))
