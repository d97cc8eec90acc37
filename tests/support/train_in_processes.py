"""Run by tests, alone or by torchrun: train students of a workspace, and write what each process has.

Arguments: a folder with a workspace for each problem, and a name for the results in each.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate.state import PartialState
from safetensors.torch import save_file
from workspace import ENCODERS, FRONTEND

from kd.audio.frontend import make_front_end
from kd.config.frontend import AugmentSettings
from kd.config.losses import ObjectiveSettings
from kd.config.models import ModelSettings
from kd.config.training import TrainingSettings
from kd.models import build
from kd.teachers.codec import Codec
from kd.training import Objective
from tasks.data.prepared import PreparedData
from tasks.runner.paths import Paths
from tasks.runner.reporter import NullReporter
from tasks.teachers.posterior_teacher import load_posterior_teacher
from tasks.teachers.supply import CachedLogits, LiveTeacher, PosteriorSupply
from tasks.teachers.teacher_pass import views
from tasks.training.new_model import feature_statistics
from tasks.training.train import Run, Trained, train

GRU = {**ENCODERS["teacher"], "cell": "gru", "dropout": 0.0}
CNN = {"family": "cnn", "stem": 8, "width": 12, "layers": 2, "hidden": 10, "kernel": 5, "dropout": 0.0}
OFF = AugmentSettings(time_masks=0, frequency_masks=0)
TAUGHT = ObjectiveSettings(label_weight=1.0, beta=0.5)
BESIDE = ObjectiveSettings.model_validate({
    "beta": 0.5,
    "distill": [{"name": "soft_targets"}, {"name": "hypotheses", "n_best": 2, "beam": 4}],
    "self_distillation": [{"name": "intermediate_ctc", "head": "own", "imitate": 0.5}],
})  # fmt: skip
STATES = ObjectiveSettings.model_validate({"beta": 0.5, "distill": [{"name": "soft_targets"}, {"name": "features"}]})


def train_student(
    root: Path, problem: str, encoder: dict[str, Any], objective: ObjectiveSettings = TAUGHT, **changes: Any
) -> Trained:
    paths = Paths(root)
    data, frontend = PreparedData.load(paths.prepared), make_front_end(FRONTEND)
    teacher, codec = load_posterior_teacher(paths, "teacher"), Codec.of(len(data.vocabulary), None)
    settings = {"problem": problem, "num_features": 16, "num_outputs": len(data.vocabulary), "encoder": encoder}
    torch.manual_seed(5)
    model = build(ModelSettings.model_validate(settings))
    model.set_statistics(*feature_statistics(model, data, data.split("train"), frontend, 2.0))
    training = {
        "epochs": 3, "batch_seconds": 2.0, "device": "cpu", "max_grad_norm": 1.0,
        "optimiser": {"name": "sgd", "lr": 0.05}, "schedule": {"name": "constant"}, **changes,
    }  # fmt: skip

    how = TrainingSettings.model_validate(training)
    utterances = data.split("train")
    origin = (
        LiveTeacher(teacher, objective, model.settings.encoder)
        if objective.reads_states
        else CachedLogits(teacher, data, paths.outputs("teacher"), codec, views(OFF), NullReporter())
    )
    supply = PosteriorSupply(
        origin=origin, objective=Objective(objective, problem), data=data, utterances=utterances,
        batch_seconds=how.batch_seconds, reporter=NullReporter(),
    )  # fmt: skip
    run = Run(
        model=model, frontend=frontend, data=data, utterances=utterances, objective=objective, settings=how,
        augment=OFF, teacher=supply.open,
    )  # fmt: skip
    return train(run, NullReporter())


def main(folder: Path, name: str) -> None:
    """`gru-RANK` has no batch statistics, `cnn-RANK` has, `averaged-RANK` as moving averages; `beside-RANK` trains
    several losses and a head beside it, `states-RANK` from inner states, through projections.
    `groups-RANK` is `beside-RANK` with each batch in two groups."""
    for problem in ("transcription", "keyword"):
        root = folder / problem
        save(root / name, "gru", train_student(root, problem, GRU))
        save(root / name, "cnn", train_student(root, problem, CNN))
        save(root / name, "averaged", train_student(root, problem, CNN, averaging=0.9))
        save(root / name, "states", train_student(root, problem, CNN, STATES))
    root = folder / "transcription"
    save(root / name, "beside", train_student(root, "transcription", GRU, BESIDE))
    save(root / name, "groups", train_student(root, "transcription", GRU, BESIDE, micro_batches=2))


def save(out: Path, name: str, result: Trained) -> None:
    out.mkdir(exist_ok=True)
    state = PartialState()
    facts = {"history": result.history, "writes": result.writes, "processes": state.num_processes}
    (out / f"{name}-{state.process_index}.json").write_text(json.dumps(facts))
    save_file(result.model.state_dict(), out / f"{name}-{state.process_index}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
