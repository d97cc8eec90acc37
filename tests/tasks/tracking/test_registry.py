"""The candidate: chosen by validation error, loaded by its alias, for any number of utterances and frames."""

import json
from pathlib import Path

import mlflow
import numpy as np
import onnxruntime
import pytest
import torch
import yaml
from workspace import make_params, make_workspace

from kd.config.frontend import FrontEndSettings
from kd.config.models import ModelSettings, RNNSettings
from kd.models import build
from kd.text.vocabulary import Vocabulary
from tasks.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tasks.params.load import load_params
from tasks.params.pipeline import ExportParams
from tasks.reporting.choice import best_student
from tasks.runner.paths import Paths
from tasks.stages import export
from tasks.tracking.champion import CANDIDATE, CHAMPION, smallest_passed
from tasks.tracking.pipeline_run import read_results
from tasks.tracking.registry import due, register
from tasks.tracking.runs import open_store, tracking_uri

REPO = Path(__file__).parents[3]


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
    assert register(tmp_path, load_params(REPO / "params.yaml")) == []
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
    write_lock(tmp_path, student)

    assert [(e.alias, e.student, e.form) for e in register(tmp_path, params)] == [(CANDIDATE, student, "float32")]
    assert register(tmp_path, params) == [], "the same bytes were registered twice"
    version = open_store(tmp_path).get_model_version_by_alias(params.name, CANDIDATE)
    assert (version.tags["dvc_md5"], version.tags["valid_wer"]) == ("0123.dir", "0.1")

    mlflow.set_tracking_uri(tracking_uri(tmp_path))
    loaded = mlflow.pyfunc.load_model(f"models:/{params.name}@{CANDIDATE}")
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
    (root / "reports" / "results.csv").write_text(
        "\n".join(["model,role,valid_wer,size_bytes,error_kind", *(f"{row},wer" for row in rows), ""])
    )


def write_lock(root, student):
    lock = {"stages": {"distil": {"outs": [{"path": f"models/{student}", "md5": "0123.dir"}]}}}
    (root / "dvc.lock").write_text(yaml.safe_dump(lock))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_the_smallest_form_that_passed_is_champion_and_loads_by_alias(tmp_path, monkeypatch):
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    forms = {"forms": ["float32", "float16", "int8_dynamic"]}
    params = make_params(export=forms, evaluation={"margin": {"kind": "absolute", "value": 0.99}})
    paths = make_workspace(tmp_path)
    export.run(params, paths, "distilled")
    write_results(tmp_path, "distilled,student,0.1,1", "baseline,baseline,0.0,1")
    write_lock(tmp_path, "distilled")
    paths.cards.mkdir()
    (paths.cards / "distilled.md").write_text("# distilled\n")

    smallest, file = smallest_passed(paths.export("distilled"))
    assert file.stat().st_size == min((paths.export("distilled") / name).stat().st_size for name in FORM_FILES)
    entries = register(tmp_path, params)
    assert [(e.alias, e.form) for e in entries] == [(CANDIDATE, "float32"), (CHAMPION, smallest)]
    assert due(tmp_path, params.name) == []
    version = open_store(tmp_path).get_model_version_by_alias(params.name, CHAMPION)
    assert (version.tags["form"], version.tags["student"], version.description) == (
        smallest,
        "distilled",
        "# distilled\n",
    )

    mlflow.set_tracking_uri(tracking_uri(tmp_path))
    loaded = mlflow.pyfunc.load_model(f"models:/{params.name}@{CHAMPION}")
    reference = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    for frames in ((40,), (151, 30, 80)):
        given = {"x": np.random.default_rng(1).normal(size=(len(frames), max(frames), 16)).astype(np.float32) - 5}
        given["x_lens"] = np.array(frames)
        np.testing.assert_array_equal(loaded.predict(given)["log_probs"], reference.run(None, given)[0])


FORM_FILES = ("model.fp16.onnx", "model.int8_dynamic.onnx")


def test_a_winner_that_no_form_of_passed_is_no_champion(tmp_path):
    for name in FORM_FILES:
        (tmp_path / name).write_bytes(b"12345")
    forms = {"float32": {"file": "model.onnx", "released": True, "valid_error": 0.1}}
    forms["float16"] = {"file": FORM_FILES[0], "released": False, "valid_error": 0.5}
    released = {"forms": forms}
    (tmp_path / "released.json").write_text(json.dumps(released))
    assert smallest_passed(tmp_path) is None
    forms["int8_dynamic"] = {"file": FORM_FILES[1], "released": True, "valid_error": 0.1}
    (tmp_path / "released.json").write_text(json.dumps(released))
    assert smallest_passed(tmp_path) == ("int8_dynamic", tmp_path / FORM_FILES[1])
    (tmp_path / "released.json").unlink()
    assert smallest_passed(tmp_path) is None
