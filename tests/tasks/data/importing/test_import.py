"""`kd import`: shows what is in a corpus and what would be put aside, and writes only when it is told to."""

import json
import shutil
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from manifests import KEEP_ALL

from tasks.data.importing.__main__ import main
from tasks.data.importing.preview import preview
from tasks.params.load import load_params

REPO = Path(__file__).parents[4]
CORPUS = {"kind": "nemo", "root": "corpus", "files": {"train": "train.json", "test": "test.json"}}


def rows(project: Any, name: str, count: int, bad: list[dict[str, Any]]) -> None:
    good = [
        {"audio_filepath": project.record(f"{name}{i}.wav", seconds=1 + i), "text": f"one {name}", "speaker": f"s{i}"}
        for i in range(count)
    ]
    (project.recordings / f"{name}.json").write_text("\n".join(map(json.dumps, good + bad)))


@pytest.fixture
def corpus(project, monkeypatch):
    """3 and 2 good utterances, and one of each kind that the stage would put aside."""
    project.write("silent.wav", np.zeros(16_000))
    rows(project, "train", 3, [
        {"audio_filepath": "silent.wav", "text": "one"},
        {"audio_filepath": "train0.wav", "text": "one train"},
        {"audio_filepath": "gone.wav", "text": "one"},
        {"text": "one"},
    ])  # fmt: skip
    rows(project, "test", 2, [{"audio_filepath": "test0.wav", "offset": 0.5, "duration": 9.0, "text": "one"}])
    monkeypatch.chdir(project.root)
    shutil.copy(REPO / "params.yaml", project.root)
    return project


def order(*sources: str, **more: Any) -> str:
    return json.dumps({"sources": list(sources), **more})


def test_what_is_said_is_what_the_stage_then_does(corpus):
    settings = CORPUS | {"files": {**CORPUS["files"], "valid": "valid.json"}}
    rows(corpus, "valid", 1, [])
    params = corpus.params(corpus=settings, preprocess=KEEP_ALL)
    seen = preview(params, corpus.paths, 0, corpus)
    assert not corpus.paths.raw.exists()
    assert seen.aside == {"silent": 1, "duplicate": 1, "missing_file": 2, "bad_segment": 1}
    counts = {name: (part.utterances, part.decoded, part.unlabelled) for name, part in seen.parts.items()}
    assert counts == {"train": (7, 7, 0), "test": (3, 3, 0), "valid": (1, 1, 0)}
    assert seen.shared_speakers == ["s0", "s1"]
    corpus.prepare(corpus=settings, preprocess=KEEP_ALL)
    assert Counter(corpus.quarantine().values()) == seen.aside
    table = corpus.table()
    assert seen.kept == pytest.approx(table["duration_s"].sum())
    assert {row.id for row, seconds in seen.first if seconds is not None} <= set(table["id"])


def test_of_a_long_table_all_is_counted_and_the_first_are_decoded(corpus):
    seen = preview(corpus.params(corpus=CORPUS, preprocess=KEEP_ALL), corpus.paths, 2, corpus)
    assert {name: (part.utterances, part.decoded) for name, part in seen.parts.items()} == {
        "train": (7, 2),
        "test": (3, 2),
    }
    assert seen.parts["train"].hours == pytest.approx(7 / 2 * (1 + 2) / 3600)


def test_of_archives_no_more_is_read_than_is_decoded(corpus, capsys):
    with tarfile.open(corpus.recordings / "speech.tar", "w") as out:
        for i in range(5):
            file = corpus.recordings / corpus.record(f"{i}.flac")
            file.with_suffix(".txt").write_text("one")
            out.add(file, file.name)
            out.add(file.with_suffix(".txt"), f"{i}.txt")
    assert main(order("corpus/speech.tar", decode=2)) == 0
    said = capsys.readouterr().out.splitlines()
    assert "all               2+ about 0.001   unknown             0" in said
    assert "Nothing would be put aside of 2 utterances, the first of each part." in said
    assert "  kind: webdataset" in said
    assert main(order("corpus/speech.tar", decode=0)) == 0
    assert "Nothing would be put aside of all 5 utterances." in capsys.readouterr().out.splitlines()


def test_nothing_is_written_unless_it_is_asked_for(corpus, capsys):
    before = (corpus.root / "params.yaml").read_text()
    names = sorted(path.name for path in corpus.root.iterdir())
    assert main(order("corpus/train.json", "corpus/test.json")) == 0
    said = capsys.readouterr().out
    assert (corpus.root / "params.yaml").read_text() == before
    assert sorted(path.name for path in corpus.root.iterdir()) == names
    for line in (
        "  train-train-0000001-train0  1.00 s  speaker s0  one train",
        "  train-train-0000004-silent  put aside  speaker unknown  one",
        "train              7       0.002         3             0",
        "5 would be put aside of all 10 utterances:",
        "  2 missing_file, such as train-train-0000006-gone (gone.wav): there is no such file",
        "warning: 2 speakers are in more than one part, such as s0",
        "Nothing is written. --write puts this section into params.yaml.",
    ):
        assert line in said.splitlines()
    assert main(order("corpus/train.json", "corpus/test.json", write=True)) == 0
    params = load_params(corpus.root / "params.yaml")
    assert params.corpus.model_dump(exclude_none=True, exclude={"text_field", "tars"}) == {
        **CORPUS,
        "root": Path("corpus"),
    }
    section = capsys.readouterr().out.split("corpus:\n")[1].split("\n\n")[0]
    assert section in (corpus.root / "params.yaml").read_text()


def test_a_corpus_of_which_nothing_can_be_used_is_not_written(corpus, capsys):
    (corpus.recordings / "train.json").write_text('{"audio_filepath": "gone.wav", "text": "one"}\n')
    before = (corpus.root / "params.yaml").read_text()
    assert main(order("corpus/train.json", write=True)) == 1
    assert "No utterance that was looked at can be used" in capsys.readouterr().err
    assert (corpus.root / "params.yaml").read_text() == before


def test_mistakes_are_one_line_and_exit_code_2(corpus, capsys):
    (corpus.recordings / "train.json").write_text('{"audio_filepath": "a.wav", "text": "one"}\n{\n')
    assert main(order("corpus/train.json")) == 2
    assert main(order("corpus/nowhere.json")) == 2
    assert main(order("x" * 5_000)) == 2
    first, second, third = capsys.readouterr().err.splitlines()
    assert "corpus/train.json, line 2 is not JSON" in first
    assert third.startswith("xxx")
    assert third.endswith(": File name too long: correct the path, or allow to read it")
    assert second == "corpus/nowhere.json: there is no such file or folder: correct it"
