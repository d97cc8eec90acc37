"""The candidate: chosen by validation error, loaded by its alias, for any number of utterances and frames."""

import json
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
import yaml

from kd.models import build
from kd.settings.frontend import FrontEndSettings
from kd.settings.models import ModelSettings, RNNSettings
from kd.text import Vocabulary
from tasks import export
from tasks.candidate import ALIAS, best_student, register
from tasks.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tasks.params import load_params
from tasks.paths import Paths
from tasks.tracking import open_store, tracking_uri

REPO = Path(__file__).parents[2]


def test_the_lowest_validation_error_wins_then_the_smaller_file():
    metrics = {
        "a": {"valid_error": 0.2, "test_error": 0.0, "size_bytes": 1},
        "b": {"valid_error": 0.1, "test_error": 0.9, "size_bytes": 9},
        "c": {"valid_error": 0.1, "test_error": 0.9, "size_bytes": 5},
        "teacher": {"valid_error": 0.0, "test_error": 0.0, "size_bytes": 1},
    }
    assert best_student(metrics, ["a", "b", "c"]) == "c"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_it_loads_by_alias_and_takes_any_length(tmp_path, monkeypatch):
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    params, paths = load_params(REPO / "params.yaml"), Paths(tmp_path)
    student = next(iter(params.students))
    encoder = RNNSettings(stem=8, width=8, layers=1, hidden=(8,))
    model = build(ModelSettings(problem="transcription", num_features=80, num_outputs=3, encoder=encoder))
    vocabulary = Vocabulary.characters("ab")
    save_checkpoint(
        paths.model(student), Checkpoint(model, FrontEndSettings(), vocabulary, "student", "random", "labels")
    )
    export.run(params, paths, student)
    paths.evaluation(student).mkdir(parents=True)
    (paths.evaluation(student) / "metrics.json").write_text(json.dumps({"valid_error": 0.1, "size_bytes": 1}))
    lock = {"stages": {"distil": {"outs": [{"path": f"models/{student}", "md5": "0123.dir"}]}}}
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump(lock))

    assert register(tmp_path, params) == student
    assert register(tmp_path, params) is None, "the same bytes were registered twice"
    version = open_store(tmp_path).get_model_version_by_alias(params.name, ALIAS)
    assert version.tags["dvc_md5"] == "0123.dir"

    mlflow.set_tracking_uri(tracking_uri(tmp_path))
    loaded = mlflow.pyfunc.load_model(f"models:/{params.name}@{ALIAS}")
    reference = load_checkpoint(paths.model(student)).model
    for frames in ((40,), (151, 3, 80)):
        features_BTF, lengths_B = torch.randn(len(frames), max(frames), 80), torch.tensor(frames)
        found = loaded.predict({"x": features_BTF.numpy(), "x_lens": lengths_B.numpy()})
        with torch.no_grad():
            logits_BTV, out_B = reference(features_BTF, lengths_B)
        assert found["log_probs_len"].tolist() == out_B.tolist()
        for b, length in enumerate(out_B.tolist()):
            np.testing.assert_allclose(
                found["log_probs"][b, :length], logits_BTV[b, :length].log_softmax(-1).numpy(), atol=1e-4
            )
