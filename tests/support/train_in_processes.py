"""Run by tests, alone or by torchrun: train students of a workspace, and write what each process has.

Arguments: a folder with a workspace for each problem, and a name for the results in each.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import PartialState
from safetensors.torch import save_file
from workspace import ENCODERS, FRONTEND

from kd.audio.frontend import LogMel
from kd.config.frontend import AugmentSettings
from kd.config.losses import ObjectiveSettings
from kd.config.models import ModelSettings
from kd.config.training import TrainingSettings
from kd.models import build
from kd.teachers.codec import Codec
from tasks.data.prepared import PreparedData
from tasks.runner.paths import Paths
from tasks.runner.reporter import NullReporter
from tasks.teachers.frame_teacher import load_frame_teacher
from tasks.teachers.logits import open_stored
from tasks.teachers.teacher_pass import views
from tasks.teachers.teacher_states import LiveStates
from tasks.training.batches import TeacherOutputs
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
    data, frontend = PreparedData.load(paths.prepared), LogMel(FRONTEND)
    teacher, codec = load_frame_teacher(paths, "teacher"), Codec.of(len(data.vocabulary), None)
    settings = {"problem": problem, "num_features": 16, "num_outputs": len(data.vocabulary), "encoder": encoder}
    torch.manual_seed(5)
    model = build(ModelSettings.model_validate(settings))
    model.set_statistics(*feature_statistics(model, data, data.split("train"), frontend, 2.0))
    training = {
        "epochs": 3, "batch_seconds": 2.0, "device": "cpu", "max_grad_norm": 1.0,
        "optimiser": {"name": "sgd", "lr": 0.05}, "schedule": {"name": "constant"}, **changes,
    }  # fmt: skip

    def outputs(_: Accelerator) -> TeacherOutputs:
        if objective.reads_states:
            return LiveStates(teacher, objective, model.settings.encoder)
        return open_stored(paths.outputs("teacher"), codec, teacher, data, views(OFF), NullReporter())

    run = Run(model, frontend, data, objective, TrainingSettings.model_validate(training), OFF, outputs)
    return train(run, NullReporter())


def main(folder: Path, name: str) -> None:
    """`gru-RANK` has no batch statistics, `cnn-RANK` has, `averaged-RANK` as moving averages; `beside-RANK` trains
    several losses and a head beside it, `states-RANK` from inner states, through projections."""
    for problem in ("transcription", "keyword"):
        root = folder / problem
        save(root / name, "gru", train_student(root, problem, GRU))
        save(root / name, "cnn", train_student(root, problem, CNN))
        save(root / name, "averaged", train_student(root, problem, CNN, averaging=0.9))
        save(root / name, "states", train_student(root, problem, CNN, STATES))
    save(
        folder / "transcription" / name, "beside", train_student(folder / "transcription", "transcription", GRU, BESIDE)
    )


def save(out: Path, name: str, result: Trained) -> None:
    out.mkdir(exist_ok=True)
    state = PartialState()
    facts = {"history": result.history, "writes": result.writes, "processes": state.num_processes}
    (out / f"{name}-{state.process_index}.json").write_text(json.dumps(facts))
    save_file(result.model.state_dict(), out / f"{name}-{state.process_index}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
