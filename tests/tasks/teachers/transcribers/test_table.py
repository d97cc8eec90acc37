"""Tables of transcripts: every format says the same, and mistakes in them are named."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tasks.params.teachers import TableTeacher
from tasks.runner.reporter import NullReporter
from tasks.teachers.transcribers import Clip, TranscriberOutput
from tasks.teachers.transcribers.table import Table

ROWS: list[dict[str, Any]] = [
    {"id": "a", "hypothesis": "One, two", "confidence": 0.9, "weight": 0.25},
    {"id": "a", "hypothesis": "one too", "confidence": 0.7, "weight": 0.75},
    {"id": "b", "hypothesis": "", "confidence": 0.1, "weight": None},
]


def write(file: Path, rows: list[dict[str, Any]]) -> None:
    table = pd.DataFrame(rows)
    if file.suffix == ".jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif file.suffix == ".parquet":
        table.to_parquet(file)
    else:
        table.to_csv(file, index=False, sep="\t" if file.suffix == ".tsv" else ",")


def transcribe(file: Path, clips: list[Clip]) -> dict[str, TranscriberOutput]:
    settings = TableTeacher(source="table", path=Path(file.name))
    return dict(Table(settings, file.parent).transcribe(clips, NullReporter()))


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_every_format_says_the_same(suffix: str, tmp_path: Path, clips: list[Clip]) -> None:
    file = tmp_path / f"table{suffix}"
    write(file, ROWS)
    found = transcribe(file, clips)
    assert found["a"] == TranscriberOutput((("one too", 0.75), ("One, two", 0.25)), confidence=0.7)
    assert found["b"] == TranscriberOutput((("", 1.0),), confidence=0.1)
    assert found["c"] == TranscriberOutput((), refused="the table has no row of it")


def test_paths_serve_where_there_is_no_id(tmp_path: Path, clips: list[Clip]) -> None:
    write(tmp_path / "t.csv", [{"path": clips[1].source, "hypothesis": "two"}])
    assert transcribe(tmp_path / "t.csv", clips)["b"] == TranscriberOutput((("two", 1.0),))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"id": "a", "text": "one"}], "column 'text' looks like our hypothesis, .*: call it hypothesis"),
        ([{"id": "a", "said": "one"}], "no column hypothesis; found id, said"),
        ([{"name": "a", "hypothesis": "one"}], "no column id and no column path; found name, hypothesis"),
        ([{"id": "z", "hypothesis": "one"}], "names none of the 3 utterances by its column id.*such as 'z'"),
        ([{"id": "a", "hypothesis": "one", "confidence": "high"}], r"row 1 \(line 2\): confidence 'high' is no number"),
        ([{"id": "a", "hypothesis": "one", "confidence": 90}], "confidence 90 is no probability"),
        ([{"id": "a", "hypothesis": x} for x in ("one", "two")], "2 rows need a weight above 0 each"),
    ],
)
def test_mistakes_are_named(rows: list[dict[str, Any]], message: str, tmp_path: Path, clips: list[Clip]) -> None:
    write(tmp_path / "t.csv", rows)
    with pytest.raises(ValueError, match=message):
        transcribe(tmp_path / "t.csv", clips)


def test_files_that_are_no_tables_are_refused(tmp_path: Path, clips: list[Clip]) -> None:
    with pytest.raises(ValueError, match="no such table"):
        transcribe(tmp_path / "t.csv", clips)
    (tmp_path / "t.xls").touch()
    with pytest.raises(ValueError, match=r"ends in \.csv, \.tsv, \.jsonl, \.parquet"):
        transcribe(tmp_path / "t.xls", clips)
    (tmp_path / "t.jsonl").write_text("{")
    with pytest.raises(ValueError, match="line 1 is not JSON"):
        transcribe(tmp_path / "t.jsonl", clips)


def test_names_and_weights_of_any_number_end_in_a_short_line(tmp_path: Path, clips: list[Clip]) -> None:
    for rows, message in (
        ([{"id": "x" * 9_000, "hypothesis": "two"}], "names none of the"),
        ([{"id": clips[0].id, "hypothesis": "two", "weight": 0} for _ in range(400)], "400 rows need a weight"),
    ):
        write(tmp_path / "t.csv", rows)
        with pytest.raises(ValueError, match=message) as raised:
            transcribe(tmp_path / "t.csv", clips)
        assert len(str(raised.value)) <= 500
