"""One training run with its files: resumed after a kill, shared by two processes, and its small helpers."""

import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import train_in_processes
from safetensors.torch import load_file
from tiny_stages import TRAINING, Killed, KillingReporter
from workspace import FRONTEND, make_workspace

from kd.audio.frontend import make_front_end
from kd.config.training import TrainingSettings
from tasks.checkpoint import load_checkpoint
from tasks.data.prepared import PreparedData
from tasks.training.history import write_history
from tasks.training.new_model import feature_statistics
from tasks.training.train import make_accelerator

SUPPORT = Path(__file__).parents[2] / "support"
REPO = Path(__file__).parents[3]


@pytest.mark.parametrize("level_frames", [0, 7])
def test_statistics_are_those_of_all_valid_frames(tmp_path: Path, level_frames: int) -> None:
    """As the model levels them."""
    paths, frontend, frames = make_workspace(tmp_path), make_front_end(FRONTEND), []
    data, model = PreparedData.load(paths.prepared), load_checkpoint(paths.model("teacher")).model
    model.settings = model.settings.model_copy(update={"level_frames": level_frames})
    for utterance in data.split("train"):
        waveform = torch.from_numpy(data.waveform(utterance))[None]
        features_1TF, _ = frontend(waveform, torch.tensor([waveform.shape[1]]))
        frames.append(model.levelled(features_1TF, torch.ones(features_1TF.shape[:2], dtype=torch.bool))[0])
    everything = torch.cat(frames).double()
    mean, deviation = feature_statistics(model, data, data.split("train"), frontend, 2.5)
    torch.testing.assert_close(mean.double(), everything.mean(0), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(deviation.double(), everything.std(0, correction=0), rtol=1e-3, atol=1e-4)


def test_history_has_a_row_for_each_epoch_and_no_times(tmp_path: Path) -> None:
    write_history(tmp_path / "new", [{"epoch": 0.0, "lr": 0.5}, {"epoch": 1.0, "lr": 0.25, "valid_error": 1.0}], "wer")
    rows = (tmp_path / "new" / "history.csv").read_text().splitlines()
    assert rows == ["epoch,lr,valid_wer", "0,0.5,", "1,0.25,1.0"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
@pytest.mark.parametrize(
    ("settings", "message"),
    [({"device": "cuda"}, "torch finds no GPU here: set device"), ({"precision": "fp16"}, "set precision: bf16 or no")],
)
def test_a_missing_gpu_is_named(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_accelerator(TrainingSettings.model_validate({**TRAINING, "device": "auto", **settings}))


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_deterministic_kernels_are_asked_for_on_cuda_alone(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No kernel runs here: the accelerator is a stand-in that names its device."""
    asked: list[tuple[bool, bool]] = []
    monkeypatch.setattr("tasks.training.train.Accelerator", lambda **_: SimpleNamespace(device=torch.device(device)))
    monkeypatch.setattr(
        torch, "use_deterministic_algorithms", lambda mode, *, warn_only: asked.append((mode, warn_only))
    )
    make_accelerator(TrainingSettings.model_validate({**TRAINING, "device": "auto"}))
    assert asked == ([(True, True)] if device == "cuda" else [])


def test_the_watch_of_these_tests_kills() -> None:
    with pytest.raises(Killed):
        KillingReporter(kill_at=2).metrics({}, 2)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of one process (`1`) and of two (`2`) in a workspace for each problem.

    On a CPU `accelerate launch` starts several processes through MPI alone, so torchrun starts these.
    """
    folder = tmp_path_factory.mktemp("processes")
    for problem in ("transcription", "keyword"):
        make_workspace(folder / problem, problem, utterances=28)
    environment = {**os.environ, "PYTHONPATH": f"{SUPPORT}{os.pathsep}{REPO}", "OMP_NUM_THREADS": "1"}
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [*torchrun, str(SUPPORT / "train_in_processes.py"), str(folder), "2"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    train_in_processes.main(folder, "1")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "problem"),
    [
        *product(["gru", "cnn", "averaged", "states"], ["transcription", "keyword"]),
        *product(["beside", "groups"], ["transcription"]),
    ],
)
def test_two_processes_do_what_one_does(family: str, problem: str, trained: Path) -> None:
    """Shares of unequal utterances and frames, labels and a teacher, clipping; the cnn has batch statistics."""
    folder = trained / problem
    alone, first, second = (read(folder / count, f"{family}-{rank}") for count, rank in (("1", 0), ("2", 0), ("2", 1)))
    assert [facts["processes"] for facts, _ in (alone, first, second)] == [1, 2, 2]
    assert [facts["writes"] for facts, _ in (alone, first, second)] == [True, True, False]
    for one, two in zip(alone[0]["history"], first[0]["history"], strict=True):
        assert two == pytest.approx(one, rel=1e-4, abs=1e-6)
        assert one["label_loss"] > 0
        assert one["distill_loss"] > 0
    for name, weight in alone[1].items():
        torch.testing.assert_close(first[1][name], weight, rtol=1e-3, atol=1e-5, msg=name)
    assert first[0]["history"] == second[0]["history"]
    assert all(torch.equal(first[1][name], second[1][name]) for name in first[1]), "batch statistics too"


def read(folder: Path, name: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    return json.loads((folder / f"{name}.json").read_text()), load_file(folder / f"{name}.safetensors")
