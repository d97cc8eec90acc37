"""presets/dphubert.yaml through the stages: encoders of random wav2vec 2.0 and HuBERT, and Whisper's real one."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from tiny_stages import same, weights
from wav2vec2_oracle import oracle, write_transformers
from workspace import STILL, make_workspace

from tasks.checkpoint import load_checkpoint
from tasks.data.prepared import PreparedData
from tasks.data.select_utterances import select_utterances
from tasks.params.load import load_params, parse_params
from tasks.params.pipeline import Params
from tasks.runner.paths import Paths
from tasks.stages import distil, evaluate, export, profile, propagate, report, teacher
from tasks.training.history import read_history

PRESET = Path(__file__).parents[3] / "presets" / "dphubert.yaml"
REAL = Path(__file__).parents[4] / "shared" / "models" / "whisper-tiny.en-ct2"
real = pytest.mark.skipif(not REAL.is_dir(), reason="the weights of Whisper tiny.en are not there")
GATED = {"channels", "heads", "feed_forward"}


def preset(lengths: tuple[int, int], batch_seconds: float, sparsity: float = 0.6, **changes: Any) -> Params:
    """The preset, of the teacher `theirs`, with trainings of so many epochs, of which the gates have so many."""
    given = yaml.safe_load(PRESET.read_text(encoding="utf-8"))
    given |= {
        "student_augment": STILL,
        "evaluation": {"conditions": [], "timing_utterances": 5, "timing_repeats": 1},
        "export": {"forms": ["float32"]},
        **changes,
    }
    given["teacher"] |= {"path": "theirs"}
    for recipe in given["students"].values():
        recipe["training"] |= {"epochs": lengths[0], "batch_seconds": batch_seconds, "device": "cpu"}
    given["students"]["compressed"]["shrink"] |= {"epochs": lengths[1], "sparsity": sparsity}
    if given["frontend"]["kind"] == "whisper":
        given["students"]["compressed"]["shrink"]["dims"] = ["stem", "heads", "feed_forward"]
    return parse_params(given)


def workspace(root: Path, labelled_until: int) -> Paths:
    """The tiny data, said to be of 16 kHz and of the corpus manifest; nobody transcribed training utterances later."""
    paths = make_workspace(root)
    file, table = paths.prepared / "prepared.json", paths.prepared / "utterances.parquet"
    file.write_text(file.read_text(encoding="utf-8").replace("8000", "16000"), encoding="utf-8")
    rows = pd.read_parquet(table)
    later = (rows["split"] == "train") & ((rows["split"] == "train").cumsum() > labelled_until)
    rows["text"] = rows["text"].mask(later, None)
    rows["part"] = "manifest"
    rows.to_parquet(table)
    return paths


def trained(params: Params, paths: Paths, name: str) -> dict[str, float]:
    propagate.run(params, paths, name)
    return distil.run(params, paths, name)


def test_the_preset_is_valid_and_sees_transcripts_at_last() -> None:
    params = load_params(PRESET)
    assert list(params.students) == ["compressed", "recogniser"]
    compressed, recogniser = params.students.values()
    assert params.teacher.fine_tune is None  # type: ignore[union-attr]
    assert not compressed.objective.teaches_head
    assert compressed.supervision == {"manifest": "unlabelled"}
    assert (recogniser.init, recogniser.teacher, recogniser.supervision) == ("compressed", "none", None)


@pytest.mark.parametrize("kind", ["wav2vec2 group", "hubert layer"])
def test_from_samples_to_a_recogniser(kind: str, tmp_path: Path) -> None:
    paths, params = workspace(tmp_path, labelled_until=4), preset((4, 2), 1.5)
    write_transformers(oracle(kind), tmp_path / "theirs")
    teacher.run(params, paths)
    assert trained(params, paths, "compressed")["best_epoch"] == 3, "the last, whatever the errors"
    whole, smaller = (load_checkpoint(paths.model(name)).model for name in ("teacher", "compressed"))
    assert torch.equal(smaller.head.weight, whole.head.weight), "nothing taught the output layer"
    history = read_history(paths.model("compressed"))
    assert [row["phase"] for row in history] == [0, 0, 1, 1]
    assert all(row["label_loss"] == 0 < row["features_loss"] for row in history)
    assert history[-1]["params"] <= 0.4 * history[0]["params"]
    sizes = ([(d.dim, d.size) for d in model.encoder.dimensions()] for model in (whole, smaller))
    assert {dim for (dim, before), (_, after) in zip(*sizes, strict=True) if after < before} == GATED
    trained(params, paths, "recogniser")
    last = load_checkpoint(paths.model("recogniser")).model
    assert last.settings == smaller.settings
    assert not torch.equal(last.head.weight, smaller.head.weight)
    if kind == "hubert layer":
        reported(params, paths)


def reported(params: Params, paths: Paths) -> None:
    for name in ("teacher", *params.students):
        export.run(params, paths, name)
        evaluate.run(params, paths, name)
    profile.run(params, paths)
    assert {name for name in report.run(params, paths) if name.startswith("recogniser")}


def test_transcripts_change_nothing_before_the_labels_turn(tmp_path: Path) -> None:
    """The same weights, to the bit, whether the training and validation parts are transcribed so or otherwise."""
    found = []
    for place, labelled_until in (("none", 0), ("all", 99)):
        paths, params = workspace(tmp_path / place, labelled_until), preset((5, 2), 3.0)
        if place == "all":
            table = paths.prepared / "utterances.parquet"
            rows = pd.read_parquet(table)
            rows["text"] = rows["text"].where(rows["split"] != "valid", "three")
            rows.to_parquet(table)
        write_transformers(oracle("hubert group"), tmp_path / place / "theirs")
        teacher.run(params, paths)
        trained(params, paths, "compressed")
        found.append(weights(paths.model("compressed")))
    assert same(*found)
    selected = select_utterances(PreparedData.load(paths.prepared), params.students["compressed"].supervision)
    assert not any(utterance.text for utterance in selected)


def test_without_any_transcript_the_last_student_says_what_it_lacks(tmp_path: Path) -> None:
    paths, params = workspace(tmp_path, labelled_until=0), preset((2, 1), 3.0)
    write_transformers(oracle("hubert group"), tmp_path / "theirs")
    teacher.run(params, paths)
    alone = params.model_copy(
        update={"students": {"recogniser": params.students["recogniser"].model_copy(update={"init": "teacher"})}}
    )
    propagate.run(alone, paths, "recogniser")
    with pytest.raises(
        ValueError, match=r"none of \d+ utterances has a label or a pseudo-label .*: add transcripts, or"
    ):
        distil.run(alone, paths, "recogniser")


@real
@pytest.mark.slow
def test_from_whispers_real_encoder(tmp_path: Path) -> None:
    """A step of the gates, a step of distillation and two of CTC: three quarters of its 7.6 M parameters are gone."""
    paths = workspace(tmp_path, labelled_until=4)
    (tmp_path / "theirs").symlink_to(REAL)
    params = preset((2, 1), 60.0, sparsity=0.75, frontend={"kind": "whisper"})
    teacher.run(params, paths)
    trained(params, paths, "compressed")
    before, after = (row["params"] for row in read_history(paths.model("compressed")))
    assert before > 7.5e6
    assert after <= 0.25 * before
    trained(params, paths, "recogniser")
    export.run(params, paths, "recogniser")
    assert 0 < evaluate.run(params, paths, "recogniser")["test_error"] <= 1.5
