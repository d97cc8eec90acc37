"""Inputs that params.yaml names: said before anything runs, each by its key."""

import os
from pathlib import Path
from typing import Any

import pytest
from tiny_stages import LEARNS, stage_params
from workspace import ENCODERS

from tasks.params.checks.inputs import missing_inputs
from tasks.params.pipeline import TranscriptionProblem

STUDENTS = {"baseline": {"init": "random", "model": ENCODERS["baseline"], "teacher": "none"}}
MANIFEST = {"kind": "manifest", "root": "my", "file": "table.csv"}
LISTED = {
    "kind": "synthetic", "root": "my", "phrases": [{"kind": "list", "file": "said.txt"}],
    "utterances": {"train": 1, "valid": 1, "test": 1}, "speakers": {"train": 1, "valid": 1, "test": 1},
}  # fmt: skip
SEVERAL = {"kind": "several", "root": "my", "parts": {"made": {"corpus": LISTED}, "real": {"corpus": MANIFEST}}}
TABLE = {"source": "table", "path": "my/heard.csv"}
OURS = {"source": "model", "path": "models/small"}


@pytest.mark.parametrize(
    ("corpus", "expected"),
    [
        (MANIFEST, ["corpus.file: my/table.csv is not there"]),
        ({**MANIFEST, "root": "mine"}, ["corpus.root: mine is not there", "corpus.file: mine/table.csv is not there"]),
        (LISTED, ["corpus.phrases.0.file: my/said.txt is not there"]),
        (SEVERAL, ["corpus.parts.made.corpus.phrases.0.file: my/said", "corpus.parts.real.corpus.file: my/table.csv"]),
        ({"kind": "fsdd", "root": "digits"}, ["corpus.root: digits is not there"]),
        ({"kind": "fsdd", "root": "digits", "download": True}, ["corpus.root: digits is not there"]),
    ],
)
def test_what_a_corpus_reads(tmp_path: Path, corpus: dict[str, Any], expected: list[str]) -> None:
    (tmp_path / "my").mkdir()
    params = stage_params("transcription", corpus=corpus, students=STUDENTS)
    found = missing_inputs(params, tmp_path)
    assert len(found) == len(expected)
    assert all(line.startswith(start) for line, start in zip(found, expected, strict=True))
    assert all(str(tmp_path) in line for line in found), "where it was looked for"
    for path in ("my/table.csv", "my/said.txt", "mine/table.csv", "digits/0_a_0.wav"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    assert missing_inputs(params, tmp_path) == []


def test_a_table_of_tokens_lies_with_the_corpus(tmp_path: Path) -> None:
    (tmp_path / "my").mkdir()
    (tmp_path / "my" / "table.csv").touch()
    units = {"kind": "tokens", "file": "bpe/tokens.txt"}
    problem = TranscriptionProblem.model_validate({"kind": "transcription", "units": units})
    params = stage_params("transcription", corpus=MANIFEST, students=STUDENTS).model_copy(update={"problem": problem})
    (line,) = missing_inputs(params, tmp_path)
    assert line.startswith("problem.units.file: my/bpe/tokens.txt is not there")
    (tmp_path / "my" / "bpe").mkdir()
    (tmp_path / "my" / "bpe" / "tokens.txt").touch()
    assert missing_inputs(params, tmp_path) == []


def test_a_canarys_corpus_is_looked_for_too(tmp_path: Path) -> None:
    (tmp_path / "my").mkdir()
    (tmp_path / "my" / "table.csv").touch()
    fetched = {"kind": "fsdd", "root": "digits", "download": True}
    for corpus, expected in ((MANIFEST, []), (fetched, ["evaluation.canary.general.corpus.root: digits is not there"])):
        evaluation = {"canary": {"general": {"corpus": corpus}}}
        params = stage_params("transcription", corpus=MANIFEST, students=STUDENTS, evaluation=evaluation)
        found = missing_inputs(params, tmp_path)
        assert [line.partition(" (looked")[0] for line in found] == expected


def test_which_teachers_are_adopted(tmp_path: Path) -> None:
    """A student's folder is made by the pipeline itself."""
    (tmp_path / "corpora").mkdir()
    small = {"init": "random", "model": ENCODERS["baseline"], "teacher": "teacher", "objective": LEARNS}
    teachers = {"crowd": TABLE, "ours": OURS}
    params = stage_params("transcription", students={**STUDENTS, "small": small}, teachers=teachers)
    corpus = [line for line in missing_inputs(params, tmp_path) if line.startswith("corpus")]
    assert [line for line in missing_inputs(params, tmp_path) if line not in corpus] == [
        f"teachers.crowd.path: my/heard.csv is not there (looked for in {tmp_path.resolve()}): "
        "put it there, or correct the path"
    ]


def test_names_that_are_not_utf_8_are_refused_before_anything_runs(tmp_path: Path) -> None:
    """Neither DVC nor a table can hold them; bytes that are not UTF-8 stand in the message as escapes."""
    folder = tmp_path / "digits" / os.fsdecode(b"f\xfcr")
    folder.mkdir(parents=True)
    (folder / "0_a_0.wav").touch()
    (tmp_path / "digits" / "naïve 語.wav").touch()
    params = stage_params("transcription", corpus={"kind": "fsdd", "root": "digits"}, students=STUDENTS)
    (line,) = missing_inputs(params, tmp_path)
    assert line.startswith(r"corpus.root: 1 names within digits are not UTF-8, such as digits/f\udcfcr")
    line.encode()


@pytest.mark.parametrize("path", ["x" * 5_000, "/".join(["x" * 200] * 30)])
def test_a_path_too_long_for_the_system_is_not_there_and_is_cut(tmp_path: Path, path: str) -> None:
    params = stage_params("transcription", corpus={**MANIFEST, "root": path}, students=STUDENTS)
    found = missing_inputs(params, tmp_path)
    assert [line.split(":")[0] for line in found] == ["corpus.root", "corpus.file"]
    assert max(map(len, found)) <= 500
