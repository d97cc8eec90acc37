"""Stage `cache_logits`: one pass, taken up where it stopped, of nothing but what is missing."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_stages import LEARNS, KillingReporter, run_student, stage_params
from torch import Tensor
from workspace import ENCODERS, make_workspace

from tasks.checkpoint import load_checkpoint, save_checkpoint
from tasks.data.prepared import PreparedData
from tasks.params.pipeline import Params
from tasks.runner.paths import Paths
from tasks.stages import cache_logits
from tasks.teachers.logit_cache import LogitCache
from tasks.teachers.posterior_teacher import CheckpointPosteriorTeacher, load_posterior_teacher
from tasks.teachers.teacher_pass import output_keys, views

TEACHES = {"init": "random", "model": ENCODERS["baseline"], "teacher": "teacher", "objective": LEARNS}


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


class Counted:
    """Counts the utterances that a teacher hears; dies at one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, die_at: int | None = None) -> None:
        self.heard, self.die_at = 0, die_at
        self.real = CheckpointPosteriorTeacher.posteriors
        monkeypatch.setattr(CheckpointPosteriorTeacher, "posteriors", lambda *arguments: self._posteriors(*arguments))

    def _posteriors(
        self, teacher: CheckpointPosteriorTeacher, waveform_BN: Tensor, lengths_B: Tensor
    ) -> tuple[Tensor, Tensor]:
        if self.heard == self.die_at:
            raise KeyboardInterrupt
        self.heard += 1
        return self.real(teacher, waveform_BN, lengths_B)


def run(paths: Paths, params: Params) -> dict[str, float]:
    return cache_logits.run(params, paths, "", KillingReporter(paths.scratch / "resume"))


@pytest.mark.parametrize("problem", ["transcription", "keyword"])
@pytest.mark.parametrize("speeds", [[], [0.9, 1.0, 1.1]])
def test_it_holds_the_training_part_in_every_view(problem: str, speeds: list[float], tmp_path: Path) -> None:
    paths, params = make_workspace(tmp_path, problem), stage_params(problem, student_augment={"speeds": speeds})
    metrics = run(paths, params)
    store, data = LogitCache(paths.outputs("teacher")), PreparedData.load(paths.prepared)
    utterances, teacher = data.split("train"), load_posterior_teacher(paths, "teacher")
    keys = output_keys(utterances, views(params.student_augment), teacher.key)
    assert list(store.places) == keys
    assert len(keys) == metrics["outputs"] == metrics["computed"] == (3 if speeds else 1) * len(utterances)
    samples = sum(u.num_samples for u in utterances)
    assert metrics["bytes_per_audio_byte"] == store.num_bytes / (2 * samples)
    for utterance, key in zip(utterances, keys, strict=False):
        waveform = torch.from_numpy(data.waveform(utterance))[None]
        expected, frames = teacher.posteriors(waveform, torch.tensor([utterance.num_samples]))
        found, lengths = store.read([key])
        assert torch.equal(lengths, frames)
        torch.testing.assert_close(found, expected, atol=4e-3, rtol=0)


def test_a_killed_pass_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = stage_params("transcription", student_augment={"speeds": [0.9, 1.1]})
    whole, killed = make_workspace(tmp_path / "whole"), make_workspace(tmp_path / "killed")
    run(whole, params)
    counted = Counted(monkeypatch, die_at=5)
    with pytest.raises(KeyboardInterrupt):
        run(killed, params)
    counted.die_at = None
    metrics = run(killed, params)
    assert counted.heard == metrics["outputs"] == metrics["computed"] + 5
    assert files(killed.outputs("teacher")) == files(whole.outputs("teacher"))


def test_a_new_utterance_costs_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the store is the one that a first pass over all of them would have made."""
    paths, params = make_workspace(tmp_path), stage_params("transcription")
    table = pd.read_parquet(paths.prepared / "utterances.parquet")
    fewer = table["split"].mask(table["id"] == "utterance-04", "valid")
    table.assign(split=fewer).to_parquet(paths.prepared / "utterances.parquet")
    run(paths, params)
    table.to_parquet(paths.prepared / "utterances.parquet")
    counted = Counted(monkeypatch)
    assert run(paths, params)["computed"] == counted.heard == 1
    grown = files(paths.outputs("teacher"))
    run(fresh := make_workspace(tmp_path / "fresh"), params)
    assert grown == files(fresh.outputs("teacher"))
    assert run(paths, params)["computed"] == 0
    assert files(paths.outputs("teacher")) == grown


def test_another_teacher_and_other_audio_are_computed_anew(tmp_path: Path) -> None:
    paths, params = make_workspace(tmp_path), stage_params("transcription")
    first = run(paths, params)
    checkpoint = load_checkpoint(paths.model("teacher"))
    with torch.no_grad():
        checkpoint.model.head.bias[0] += 0.5
    save_checkpoint(paths.model("teacher"), checkpoint)
    assert run(paths, params)["computed"] == first["outputs"]
    scratch = paths.scratch / "outputs" / "teacher"
    assert len(LogitCache(scratch)) == first["outputs"], "what nobody can read any more is gone"
    table = pd.read_parquet(paths.prepared / "utterances.parquet")
    table.loc[0, "audio_hash"] = "another"
    table.to_parquet(paths.prepared / "utterances.parquet")
    assert run(paths, params)["computed"] == 1


def test_nothing_is_computed_where_nobody_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths, counted = make_workspace(tmp_path), Counted(monkeypatch)
    alone = {"init": "random", "model": ENCODERS["baseline"], "teacher": "none"}
    params = stage_params("transcription", students={"alone": alone, "second": {**TEACHES, "teacher": "alone"}})
    assert run(paths, params) == {"outputs": 0, "computed": 0, "bytes": 0, "bytes_per_audio_byte": 0}
    assert counted.heard == len(LogitCache(paths.outputs("teacher"))) == 0


def test_students_read_it_and_fill_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With and without the stage a student learns the same; who learns from a student computes its outputs."""
    weights = []
    params = stage_params("transcription", students={"one": TEACHES, "two": {**TEACHES, "teacher": "one"}})
    for stage_ran in (True, False):
        paths = make_workspace(tmp_path / str(stage_ran))
        if stage_ran:
            run(paths, params)
        counted = Counted(monkeypatch)
        run_student(params, paths, "one")
        assert counted.heard == (0 if stage_ran else len(PreparedData.load(paths.prepared).split("train")))
        run_student(params, paths, "two")
        assert len(LogitCache(paths.outputs("one"))) == 0
        weights.append([(paths.model(name) / "model.safetensors").read_bytes() for name in ("one", "two")])
        monkeypatch.undo()
    assert weights[0] == weights[1]


def test_a_store_beyond_twice_the_audio_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths, reporter = make_workspace(tmp_path), KillingReporter()
    monkeypatch.setattr(cache_logits, "LARGEST_RATIO", 0.01)
    ratio = cache_logits.run(stage_params("transcription"), paths, "", reporter)["bytes_per_audio_byte"]
    assert reporter.said == [
        f"cached logits take {ratio:.1f} bytes for each byte of audio: a lower logit_cache.top_k takes less"
    ]


def test_a_teachers_key_is_that_of_what_it_says(tmp_path: Path) -> None:
    """Weights, front end and units change it; role, lineage and the folder's name do not."""
    paths = make_workspace(tmp_path)
    folder = paths.model("teacher")

    def key_with(change: Any = None) -> str:
        checkpoint = load_checkpoint(folder)
        if change is not None:
            checkpoint = change(checkpoint)
        return CheckpointPosteriorTeacher(checkpoint).key

    def other_weights(checkpoint: Any) -> Any:
        with torch.no_grad():
            checkpoint.model.head.bias[0] += 1e-6
        return checkpoint

    config = json.loads((folder / "config.json").read_text())
    same = key_with()
    (folder / "config.json").write_text(json.dumps({**config, "role": "student", "lineage": ["cut"], "init": "x"}))
    assert key_with() == same
    assert key_with(other_weights) != same
    config["frontend"]["low_freq_hz"] = 30.0
    (folder / "config.json").write_text(json.dumps(config))
    assert key_with() != same
    assert len(np.unique([same, key_with(), key_with(other_weights)])) == 3
