"""One cell of a study: all models of one fold and seed, trained and scored in a folder of their own.

`python -m tasks.experiments.study.cell SPEC FOLD SEED [FOLDER]`. A cell resumes where it was stopped: what
has a row is not done again, and a training goes on after its last epoch. The folder's name holds a hash of the cell's
parameters, so a changed study never takes over old results; a change of code does not show in it.
"""

import json
import os
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock

from kd.models.macs import count_params, macs_per_audio_second
from kd.runtime.bundle import FORMS
from tasks.checkpoint import load_checkpoint
from tasks.data.prepared import PreparedData
from tasks.evaluation.error_rows import error_rows
from tasks.experiments.chain import Chain
from tasks.experiments.study.design import Cell, commit, load_study, make_cell, models_in_order
from tasks.experiments.study.sharing import SHARED_STAGES, link_corpus_and_teacher
from tasks.metric_names import ERROR_KINDS, named_errors
from tasks.onnx.float32 import write_float32
from tasks.onnx.onnx_decoder import OnnxDecoder
from tasks.runner.atomic_io import write_whole
from tasks.runner.kept_files import read_whole_json
from tasks.runner.paths import Paths
from tasks.runner.reporter import LineReporter
from tasks.runner.supervisor import terminate_after
from tasks.training.history import best_metrics, read_history

TOGETHER = ("pseudo_labels", "features")
"""Folders of scratch that cells share: no two ask a recogniser about the same audio, or compute features twice."""


def run_cell(cell: Cell) -> None:
    """Do what is not done yet of a cell; one row for each model is its result.

    One process at a time: a second one waits, and then finds the work done.
    """
    cell.rows.mkdir(parents=True, exist_ok=True)
    with FileLock(cell.root / "lock"):
        _run_cell(cell)


def _run_cell(cell: Cell) -> None:
    paths = Paths(cell.root)
    _prepare(cell, paths)
    chain = Chain(cell.params, cell.root, cell.project, partial(_reporter, cell), SHARED_STAGES)
    for model in models_in_order(cell.params):
        file = cell.rows / f"{model}.json"
        if read_whole_json(file) is None:
            if model != "teacher":
                chain.make(f"distil-{model}")
            write_whole(file, json.dumps(_score(cell, paths, model), indent=1))


def _prepare(cell: Cell, paths: Paths) -> None:
    studies = cell.root.parent.parent
    link_corpus_and_teacher(cell.params, cell.root, studies, cell.project, partial(_reporter, cell))
    paths.scratch.mkdir(exist_ok=True)
    for name in TOGETHER:
        (cell.root.parent / name).mkdir(exist_ok=True)
        with suppress(FileExistsError):
            (paths.scratch / name).symlink_to(Path("..", "..", name))


def _score(cell: Cell, paths: Paths, model: str) -> dict[str, Any]:
    checkpoint = load_checkpoint(paths.model(model))
    data = PreparedData.load(paths.prepared)
    decoder = OnnxDecoder(data, write_float32(checkpoint, paths.export(model)))
    recogniser = decoder.open(decoder.bundle.folder / FORMS["float32"])
    utterances = data.split("test")
    test = pd.DataFrame(
        error_rows(decoder, utterances, (decoder.transcribe(recogniser, utterance) for utterance in utterances))
    )
    best, kind = best_metrics(read_history(paths.model(model))), ERROR_KINDS[checkpoint.model.settings.problem]
    params, nonzero = count_params(checkpoint.model)
    errors, units = int(test["errors"].sum()), int(test["reference_units"].sum())
    row = {
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
        "error_kind": kind,
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
    return named_errors(row, kind)


def _by_speaker(test: pd.DataFrame) -> str:
    """Errors and reference units of each speaker, as JSON: `{"anna": [3, 120]}`; "" is who is not named."""
    sums = test.groupby(test["speaker"].fillna(""))[["errors", "reference_units"]].sum()
    return json.dumps({str(name): [int(wrong), int(of)] for name, wrong, of in sums.itertuples()})


def _reporter(cell: Cell, step: str) -> LineReporter:
    return LineReporter(cell.root / "scratch" / step, f"{cell.fold}-{cell.seed} {step}")


if __name__ == "__main__":
    terminate_after(os.getppid())
    study_file, fold_name, seed_text, *folder = sys.argv[1:]
    run_cell(make_cell(load_study(Path(study_file)), fold_name, int(seed_text), Path(*folder)))
