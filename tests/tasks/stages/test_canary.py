"""A general test set beside the corpus's own: prepared as test audio is, disjoint, and told of in the report."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from manifests import KEEP_ALL, good_rows
from workspace import make_params, make_workspace

from tasks.params.load import parse_params
from tasks.params.pipeline import Params
from tasks.runner.paths import Paths
from tasks.stages import canary, evaluate, export, profile, report

GENERAL = {"kind": "manifest", "root": "general", "file": "general.jsonl"}


def general(root: Path, rows: list[dict[str, Any]]) -> None:
    (root / "general").mkdir(exist_ok=True)
    (root / "general" / "general.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")


def with_canary(**canary_params: Any) -> dict[str, Any]:
    return {"timing_utterances": 5, "timing_repeats": 2, "canary": {"general": {"corpus": GENERAL, **canary_params}}}


def prepared(project: Any, rows: list[dict[str, Any]], **canary_params: Any) -> pd.DataFrame:
    """The stage on a project whose own corpus is good; its table."""
    project.manifest(good_rows(project))
    project.prepare(preprocess=KEEP_ALL)
    general(project.root, rows)
    params = project.params(preprocess=KEEP_ALL, evaluation=with_canary(**canary_params))
    canary.run(params, project.paths, "general", project)
    return pd.read_parquet(project.paths.canary("general") / "utterances.parquet")


def spoken(project: Any, name: str, **cells: Any) -> dict[str, Any]:
    """A row of the canary's manifest, and its recording."""
    project.record(f"../general/{name}.wav", level=0.003)
    return {"id": name, "path": f"{name}.wav", "text": "one", "speaker": f"of {name}", **cells}


def test_it_is_prepared_as_recorded_and_what_no_unit_writes_is_counted(project: Any) -> None:
    odd = spoken(project, "odd", text="Straße, 66")
    table = prepared(project, [spoken(project, "quiet"), odd, {"id": "lost", "path": "lost.wav", "text": "two"}])
    assert table["id"].tolist() == ["quiet", "odd"]
    assert table["text"].tolist() == ["one", "straße 66"]
    assert set(table["split"]) == {"test"}
    samples = np.fromfile(project.paths.canary("general") / "audio.i16", "<i2")
    assert np.abs(samples).max() <= 0.0031 * 32768, "it is not levelled"
    facts = json.loads((project.paths.canary("general") / "canary.json").read_text(encoding="utf-8"))
    assert facts == {
        "utterances": 2, "hours": pytest.approx(2 / 3600, abs=1e-4), "speakers": 2, "unnamed": 0, "unwritable": 1,
        "quarantined": 1, "reasons": {"missing_file": 1},
    }  # fmt: skip
    assert "1 references hold what no unit writes: they stay, and count as errors" in project.said
    assert not (project.paths.scratch / "canary" / "general").exists()


@pytest.mark.parametrize("split", ["train", "valid"])
def test_a_speaker_whom_models_learn_from_is_refused_by_name(project: Any, split: str) -> None:
    project.manifest([{**row, "split": ("train", "valid", "test")[i % 3]} for i, row in enumerate(good_rows(project))])
    project.prepare(preprocess=KEEP_ALL)
    known = project.table().query("split == @split").iloc[-1]
    general(project.root, [spoken(project, "new"), spoken(project, "known", speaker=known["speaker"])])
    params = project.params(preprocess=KEEP_ALL, evaluation=with_canary())
    with pytest.raises(ValueError, match=rf"^utterance known of the canary is of speaker '{known['speaker']}', of w"):
        canary.run(params, project.paths, "general", project)
    assert not project.paths.canary("general").exists()


def test_a_speaker_of_the_test_part_alone_may_be_in_it(project: Any) -> None:
    rows = [
        {**row, "split": split, "speaker": split}
        for row, split in zip(good_rows(project, 3, 1), ("train", "valid", "test"), strict=True)
    ]
    project.manifest(rows)
    project.prepare(preprocess=KEEP_ALL)
    general(project.root, [spoken(project, "same", speaker="test")])
    canary.run(project.params(preprocess=KEEP_ALL, evaluation=with_canary()), project.paths, "general", project)
    table = pd.read_parquet(project.paths.canary("general") / "utterances.parquet")
    assert table[["id", "speaker"]].to_numpy().tolist() == [["same", "test"]]


@pytest.mark.parametrize("preprocess", [KEEP_ALL, {"max_quarantined_share": 1.0}], ids=["as it is", "levelled"])
def test_a_recording_that_models_learn_from_is_refused_whatever_preparation_made_of_it(
    project: Any, preprocess: dict[str, Any]
) -> None:
    project.manifest([{**row, "split": ("train", "valid", "test")[i % 3]} for i, row in enumerate(good_rows(project))])
    project.prepare(preprocess=preprocess)
    (project.root / "general").mkdir()
    shutil.copy(project.recordings / "good-0-0.wav", project.root / "general" / "copy.wav")
    copied = {"id": "copy", "path": "copy.wav", "text": "something else", "speaker": "another name"}
    general(project.root, [spoken(project, "new"), copied])
    params = project.params(preprocess=preprocess, evaluation=with_canary())
    with pytest.raises(ValueError, match=r"^utterance copy of the canary is the same recording as utterance good-0-0"):
        canary.run(params, project.paths, "general", project)


def test_too_much_in_quarantine_stops_the_stage_and_its_table_is_kept(project: Any) -> None:
    rows = [spoken(project, "good"), {"id": "lost", "path": "lost.wav", "text": "two"}]
    project.manifest(good_rows(project))
    project.prepare()
    general(project.root, rows)
    with pytest.raises(ValueError, match=r"1 of 2 utterances \(50.0%\) are in quarantine"):
        canary.run(project.params(evaluation=with_canary()), project.paths, "general", project)
    assert "missing_file" in (project.paths.scratch / "canary-general-quarantine.csv").read_text(encoding="utf-8")


def test_a_limit_draws_the_same_utterances_whatever_their_order(project: Any) -> None:
    rows = [spoken(project, f"u{i}") for i in range(6)] + [spoken(project, "trains", split="train")]
    first = prepared(project, rows, limit=3)["id"].tolist()
    general(project.root, rows[::-1])
    params = project.params(preprocess=KEEP_ALL, evaluation=with_canary(limit=3))
    canary.run(params, project.paths, "general", project)
    again = pd.read_parquet(project.paths.canary("general") / "utterances.parquet")["id"].tolist()
    assert len(first) == 3
    assert again == first[::-1]
    assert "trains" not in first


def test_a_corpus_that_is_made_here_serves_too(project: Any) -> None:
    project.manifest(good_rows(project))
    project.prepare(preprocess=KEEP_ALL)
    made = {
        "kind": "synthetic", "root": "corpus", "phrases": [{"kind": "digits", "length": [1, 2]}],
        "utterances": {"train": 1, "valid": 1, "test": 3}, "speakers": {"train": 1, "valid": 1, "test": 2},
    }  # fmt: skip
    params = project.params(preprocess=KEEP_ALL, evaluation=with_canary(corpus=made))
    assert canary.run(params, project.paths, "general", project)["utterances"] == 3


def evaluated(root: Path, problem: str = "transcription") -> tuple[Params, Paths, dict[str, dict[str, float]]]:
    """Every model of the tiny workspace, with a canary that is a copy of its own test part under other names."""
    params, paths = make_params(problem, evaluation=with_canary()), make_workspace(root, problem)
    shutil.copytree(paths.prepared, paths.canary("general"))
    table = pd.read_parquet(paths.prepared / "utterances.parquet")
    table["split"], table["speaker"] = "test", "general " + table["speaker"]
    table.to_parquet(paths.canary("general") / "utterances.parquet")
    facts = {"utterances": len(table), "speakers": 9, "unnamed": 0, "unwritable": 2, "quarantined": 1}
    (paths.canary("general") / "canary.json").write_text(json.dumps(facts), encoding="utf-8")
    found = {}
    for name in ("teacher", *params.students):
        export.run(params, paths, name)
        found[name] = evaluate.run(params, paths, name)
    return params, paths, found


@pytest.mark.parametrize(("problem", "kind"), [("transcription", "wer"), ("keyword", "keyword_error")])
def test_every_model_is_scored_on_it_and_the_report_says_what_was_forgotten(
    tmp_path: Path, problem: str, kind: str
) -> None:
    params, paths, found = evaluated(tmp_path, problem)
    profile.run(params, paths)
    report.run(params, paths)
    results = pd.read_csv(paths.reports / "results.csv").set_index("model")
    assert results.columns[-1] == f"test_{kind}"
    page = (paths.reports / "report.html").read_text(encoding="utf-8")
    for name, returned in found.items():
        table = pd.read_parquet(paths.evaluation(name) / "utterances.parquet")
        own, test = table[table["split"] == "canary"], table[table["split"] == "test"]
        assert len(own) == 24
        heard = own.set_index("id").loc[test["id"], "hypothesis"].tolist()
        assert heard == test["hypothesis"].tolist(), "the same audio, the same transcript"
        error = own["errors"].sum() / own["reference_units"].sum()
        metrics = json.loads((paths.evaluation(name) / "metrics.json").read_text(encoding="utf-8"))
        assert metrics["canary"] == results.loc[name, "canary"] == "general"
        assert metrics[f"canary_{kind}"] == pytest.approx(error)
        assert returned["canary_error"] == results.loc[name, f"canary_{kind}"] == metrics[f"canary_{kind}"]
        assert metrics[f"canary_{kind}_low"] <= error <= metrics[f"canary_{kind}_high"]
        assert f"{100 * error:.1f}\u202f%" in page
    assert "What was forgotten" in page
    assert "On general, which nothing was trained on or chosen by, the error rate of the teacher is" in page
    assert "forgotten by distilled (" in page
    assert "forgotten by baseline" not in page


def test_a_canary_that_was_not_prepared_is_named_with_its_stage(tmp_path: Path) -> None:
    params, paths, _ = evaluated(tmp_path)
    shutil.rmtree(paths.canary("general"))
    with pytest.raises(ValueError, match="run the stage canary general first"):
        evaluate.run(params, paths, "teacher")


def test_without_a_canary_nothing_that_is_hashed_or_written_speaks_of_one(tmp_path: Path) -> None:
    params, paths = make_params(), make_workspace(tmp_path)
    assert "canary" not in params.evaluation.model_dump(mode="json")
    assert parse_params({**params.model_dump(mode="json"), "evaluation": {"canary": {}}}).evaluation == (
        parse_params({**params.model_dump(mode="json"), "evaluation": {}}).evaluation
    )
    for name in ("teacher", *params.students):
        export.run(params, paths, name)
        assert not any("canary" in key for key in evaluate.run(params, paths, name))
    profile.run(params, paths)
    report.run(params, paths)
    written = [*paths.evaluation("teacher").glob("*.json"), *paths.reports.glob("*.csv"), *paths.reports.glob("*.html")]
    assert len(written) == 4
    assert all("canary" not in file.read_text(encoding="utf-8") for file in written)
    table = pd.read_parquet(paths.evaluation("teacher") / "utterances.parquet")
    assert set(table["split"]) == {"valid", "test"}
