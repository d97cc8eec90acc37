"""Run by tests, alone or by torchrun: train a student of a workspace, and write what the first process has.

Arguments: the workspace, its problem, and a folder for the results.
"""

import json
import sys
from pathlib import Path

import torch
from accelerate.state import PartialState
from safetensors.torch import save_file
from workspace import ENCODERS, FRONTEND

from kd.frontend import LogMel
from kd.models import build
from kd.settings.frontend import AugmentSettings
from kd.settings.losses import ObjectiveSettings
from kd.settings.models import ModelSettings
from kd.settings.training import TrainingSettings
from tasks.checkpoint import load_checkpoint
from tasks.data import PreparedData
from tasks.paths import Paths
from tasks.training import Run, feature_statistics, train
from tasks.watch import Silent

OFF = AugmentSettings(time_masks=0, frequency_masks=0)


def main(root: Path, problem: str, out: Path) -> None:
    paths = Paths(root)
    data, frontend = PreparedData.load(paths.prepared), LogMel(FRONTEND)
    teacher = load_checkpoint(paths.model("teacher")).model
    encoder = {**ENCODERS["teacher"], "cell": "gru", "dropout": 0.0}
    settings = {"problem": problem, "num_features": 16, "num_outputs": len(data.vocabulary), "encoder": encoder}
    torch.manual_seed(5)
    model = build(ModelSettings.model_validate(settings))
    model.set_statistics(*feature_statistics(data, frontend, 2.0))
    training = {
        "epochs": 3, "batch_seconds": 2.0, "device": "cpu", "clip_norm": 1.0,
        "optimiser": {"name": "sgd", "rate": 0.05}, "schedule": {"name": "constant"},
    }  # fmt: skip
    objective = ObjectiveSettings(labels=1.0, beta=0.5)
    run = Run(model, frontend, data, objective, TrainingSettings.model_validate(training), OFF, teacher)
    trained = train(run, Silent())
    if trained.writes:
        out.mkdir()
        (out / "history.json").write_text(json.dumps(trained.history))
        (out / "processes.json").write_text(json.dumps(PartialState().num_processes))
        save_file(trained.model.state_dict(), out / "model.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
