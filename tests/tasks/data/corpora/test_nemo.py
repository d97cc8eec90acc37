"""Manifests of NeMo: stretches, paths beside the manifest, parts; what is wrong with a row puts that row aside."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from manifests import KEEP_ALL

from tasks.data.corpora.raw import read_raw
from tasks.params.checks.inputs import missing_inputs
from tasks.stages import corpus


def manifest(project: Any, name: str, rows: list[Any]) -> None:
    file = project.recordings / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def settings(**more: Any) -> dict[str, Any]:
    return {"kind": "nemo", "root": "corpus", "files": {"train": "train.json"}, **more}


def read(project: Any, **more: Any) -> list[dict[str, Any]]:
    corpus.run(project.params(corpus=settings(**more)), project.paths)
    return [asdict(row) for row in read_raw(project.paths.raw / "utterances.parquet")]


def test_a_stretch_is_what_nemo_reads_of_it(project):
    rows = [
        {"audio_filepath": "wav/a.wav", "duration": 1.5, "text": "one", "speaker": 7, "lang": "en"},
        {"audio_filepath": "wav/a.wav", "offset": 1.5, "duration": 0.5, "text": "two"},
        {"audio_filepath": "/elsewhere/b.wav", "offset": 2, "text": "three"},
        {"audio_filepath": "s3://bucket/c.flac", "text": "four"},
    ]
    manifest(project, "lists/train.json", rows)
    found = read(project, files={"train": "lists/train.json"})
    assert [row["path"] for row in found] == ["lists/wav/a.wav"] * 2 + ["/elsewhere/b.wav", "s3://bucket/c.flac"]
    starts, ends = ([str(row[key]) for row in found] for key in ("start_s", "end_s"))
    assert (starts, ends) == (["None", "1.5", "2.0", "None"], ["1.5", "2.0", "None", "None"])
    assert [row["text"] for row in found] == ["one", "two", "three", "four"]
    assert found[0]["speaker"] == "7"
    assert found[1]["id"] == "train-train-0000002-a"


def test_parts_may_have_several_manifests_and_all_is_divided(project):
    for name in ("tarred/m_0.json", "tarred/m_1.json", "rest.json"):
        manifest(project, name, [{"audio_filepath": f"{Path(name).stem}.wav", "text": "one"}])
    found = read(project, files={"test": "tarred/m_*.json", "all": "rest.json"})
    assert [row["id"] for row in found][:2] == ["test-m_0-0000001-m_0", "test-m_1-0000001-m_1"]
    assert [(row["path"], row["split"]) for row in found] == [
        ("tarred/m_0.wav", "test"),
        ("tarred/m_1.wav", "test"),
        ("rest.wav", None),
    ]


def test_manifests_of_one_name_in_two_folders_give_ids_of_their_own(project):
    for name in ("a/m.json", "b/m.json"):
        manifest(project, name, [{"audio_filepath": "x.wav", "text": "one"}])
    rows = read(project, files={"train": "*/m.json"})
    assert [(row["id"], row["path"]) for row in rows] == [
        ("train-00000-m-0000001-x", "a/x.wav"),
        ("train-00001-m-0000001-x", "b/x.wav"),
    ]


def test_bad_rows_are_put_aside_each_with_its_reason(project):
    project.record("long.wav", seconds=2.0)
    good = [
        {"audio_filepath": project.record(f"{i}.wav"), "duration": 1.0, "text": "one", "speaker": f"s{i}"}
        for i in range(6)
    ]
    bad = [
        {"duration": 1.0, "text": "one"},
        {"audio_filepath": "long.wav", "offset": 1.0, "duration": 3.0, "text": "one"},
        {"audio_filepath": "long.wav", "offset": "soon", "duration": 1.0, "text": "one"},
        {"audio_filepath": "nowhere.wav", "text": "one"},
        {"audio_filepath": "long.wav", "offset": 0.0, "duration": 0.9},
        {"audio_filepath": "0.wav", "duration": 1.0, "text": "one"},
    ]
    manifest(project, "train.json", good + bad)
    project.prepare(corpus=settings(), preprocess=KEEP_ALL)
    assert list(project.quarantine().values()) == [
        "missing_file", "bad_segment", "bad_segment", "missing_file", "missing_text", "duplicate",
    ]  # fmt: skip
    table = (project.paths.prepared / "quarantine.csv").read_text()
    assert "train.json, row 7: no audio_filepath" in table
    assert len(project.table()) == 6


def test_keywords_have_their_label_under_another_key(project):
    manifest(project, "train.json", [{"audio_filepath": "a.wav", "duration": 1.0, "command": "yes"}])
    assert read(project, text_field="command")[0]["text"] == "yes"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"audio_filepath": "a.wav", "text": "one"}\n{"audio_filepath": \n', r"train\.json, line 2 is not JSON"),
        ('{"path": "a.wav", "words": "one"}\n', r"row 1: no column audio_filepath and no column text; found path, wor"),
        ('["a.wav"]\n', "line 1: expected an object"),
        (b'{"audio_filepath": "a.wav", "text": "caf\xe9"}\n', "row 1, column text: byte 0xe9 is not UTF-8"),
        ('{"audio_filepath": "a.wav", "text": "one"}\n'.encode("utf-16"), "is UTF-16, not UTF-8"),
    ],
)
def test_a_manifest_that_cannot_be_understood_is_an_error(project, content, message):
    manifest(project, "train.json", [])
    (project.recordings / "train.json").write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ValueError, match=message):
        read(project)


def test_what_is_not_there_is_named_with_its_key(project):
    project.recordings.mkdir()
    params = project.params(corpus=settings(files={"train": "no.json", "test": "no*.json", "valid": "s3://a/b.json"}))
    assert [line.partition(" is not")[0] for line in missing_inputs(params, project.root)] == [
        "corpus.files.train: corpus/no.json"
    ]
    with pytest.raises(ValueError, match=r"no such file\. corpus\.files\.train is relative to corpus\.root"):
        read(project, files={"train": "no.json"})
    with pytest.raises(ValueError, match=r"corpus\.files\.train: nothing is called no\*\.json in corpus"):
        read(project, files={"train": "no*.json"})
