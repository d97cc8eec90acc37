"""The candidate: chosen by validation error, loaded by its alias, for any number of utterances and frames."""

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
from tasks.candidate import ALIAS, register
from tasks.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tasks.params import ExportParams, load_params
from tasks.paths import Paths
from tasks.pipeline_run import read_results
from tasks.reporting.choice import best_student
from tasks.tracking import open_store, tracking_uri

REPO = Path(__file__).parents[2]


def test_the_lowest_validation_error_wins_then_the_smaller_file():
    rows = [
        {"model": "a", "role": "student", "valid_error": 0.2, "test_error": 0.0, "size_bytes": 1},
        {"model": "b", "role": "student", "valid_error": 0.1, "test_error": 0.9, "size_bytes": 9},
        {"model": "c", "role": "student", "valid_error": 0.1, "test_error": 0.9, "size_bytes": 5},
        {"model": "d", "role": "baseline", "valid_error": 0.0, "test_error": 0.0, "size_bytes": 1},
        {"model": "teacher", "role": "teacher", "valid_error": 0.0, "test_error": 0.0, "size_bytes": 1},
    ]
    assert best_student(rows) == "c"
    assert best_student(rows[3:]) is None


def test_without_students_there_is_no_candidate(tmp_path):
    write_results(tmp_path, "baseline,baseline,0.1,1")
    assert register(tmp_path, load_params(REPO / "params.yaml")) is None
    assert not (tmp_path / "mlflow.db").exists()


def test_a_student_may_be_called_na(tmp_path):
    write_results(tmp_path, "NA,student,0.1,1", "nan,student,,1")
    first, second = read_results(tmp_path)
    assert (first["model"], second["model"]) == ("NA", "nan")
    assert np.isnan(second["valid_error"])


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_it_loads_by_alias_and_takes_any_length(tmp_path, monkeypatch):
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    params, paths = only_float32(load_params(REPO / "params.yaml")), Paths(tmp_path)
    student = next(iter(params.students))
    encoder = RNNSettings(stem=8, width=8, layers=1, hidden=(8,))
    model = build(ModelSettings(problem="transcription", num_features=80, num_outputs=3, encoder=encoder))
    vocabulary = Vocabulary.characters("ab")
    save_checkpoint(
        paths.model(student), Checkpoint(model, FrontEndSettings(), vocabulary, "student", "random", "labels")
    )
    export.run(params, paths, student)
    write_results(tmp_path, f"{student},student,0.1,1")
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


def only_float32(params):
    return params.model_copy(update={"export": ExportParams(forms=("float32",))})


def write_results(root, *rows):
    (root / "reports").mkdir()
    (root / "reports" / "results.csv").write_text("\n".join(["model,role,valid_error,size_bytes", *rows, ""]))
