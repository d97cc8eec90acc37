"""The user's table, in every form; what is wrong with the table itself is an error that names it."""

import json

import pandas as pd
import pytest

from tasks.stages import corpus

ROWS = [
    {"path": "a/one.wav", "text": "one, two", "speaker": "007", "split": "train", "start_s": 0.5, "end_s": 1.25},
    {"path": "b.ogg", "text": "drei", "speaker": "", "split": "dev", "start_s": "", "end_s": ""},
    {"path": "c.ogg", "text": "", "speaker": "x", "split": "TEST", "start_s": "soon", "end_s": ""},
]


def read(project, file: str) -> pd.DataFrame:
    corpus.run(project.params(corpus={"kind": "manifest", "root": "corpus", "file": file}), project.paths)
    return project.raw()


def write(project, name: str, text: str | bytes) -> None:
    project.recordings.mkdir(exist_ok=True)
    (project.recordings / name).write_bytes(text.encode() if isinstance(text, str) else text)


def test_all_forms_give_the_same_table(project):
    frame = pd.DataFrame(ROWS).astype(str)
    write(project, "m.csv", "\ufeff" + frame.to_csv(index=False))
    write(project, "m.tsv", frame.rename(columns={"start_s": "start", "end_s": "end"}).to_csv(index=False, sep="\t"))
    slim = [{k: v for k, v in row.items() if v != ""} for row in ROWS]
    write(project, "m.jsonl", "\n\n".join(map(json.dumps, slim)))
    frame.to_parquet(project.recordings / "m.parquet")
    tables = [read(project, f"m.{kind}") for kind in ("csv", "tsv", "jsonl", "parquet")]
    for table in tables:
        pd.testing.assert_frame_equal(table, tables[0])
    first, second, third = tables[0].to_dict("records")
    assert first["id"] == "0000001-one"
    assert (first["speaker"], first["start_s"], first["end_s"]) == ("007", 0.5, 1.25)
    assert tables[0]["split"].tolist() == ["train", "valid", "test"]
    assert pd.isna(second["speaker"])
    assert pd.isna(third["text"])
    assert (first["path"], first["root"]) == ("a/one.wav", "corpus")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "m.csv",
            "file,transcript\na.wav,one\n",
            r"the header \(line 1\): column 'file' looks like our path, .*: call it path",
        ),
        ("m.csv", "a,b\na.wav,one\n", "no column path and no column text; found a, b"),
        ("m.csv", "path,speaker\na.wav,x\n", r"no column text; found path, speaker\. Expected path and text"),
        ("m.csv", "path,text\na.wav,one, two\n", "more cells than the header"),
        (
            "m.csv",
            "path,text,split\na.wav,one,learn\n",
            r"row 1 \(line 2\): split 'learn' is none of train, training, valid",
        ),
        ("m.csv", b"path,text\na.wav,caf\xe9\n", r"row 1 \(line 2\), column text: byte 0xe9 is not UTF-8"),
        ("m.csv", "path,text\n", "the corpus .* has no utterance"),
        ("m.jsonl", '{"path": "a.wav", "text": "one"}\n{"path": \n', "line 2 is not JSON"),
        ("m.jsonl", '["a.wav", "one"]\n', "line 1: expected an object"),
        ("m.xlsx", "", r"ends in \.csv, \.tsv, \.jsonl, \.parquet, not in '\.xlsx'"),
    ],
)
def test_a_table_that_cannot_be_understood_is_an_error(project, name, content, message):
    write(project, name, content)
    with pytest.raises(ValueError, match=message):
        read(project, name)
    assert not project.paths.raw.exists()


def test_a_missing_table_is_an_error(project):
    with pytest.raises(ValueError, match="no such manifest"):
        read(project, "nowhere.csv")


@pytest.mark.slow
def test_speechocean762(project, shared_data):
    source = {"kind": "manifest", "root": str(shared_data / "speechocean762"), "file": "manifest.csv"}
    corpus.run(project.params(corpus=source), project.paths)
    assert len(project.raw()) == 4835
    table = pd.read_csv(shared_data / "speechocean762" / "manifest.csv", dtype=str).iloc[::60]
    project.recordings.mkdir()
    table.to_csv(project.recordings / "few.csv", index=False)
    metrics = project.prepare(
        corpus=source | {"file": str(project.recordings / "few.csv")}, preprocess={"max_seconds": 21.0}
    )
    assert metrics["utterances"] == len(table)
    assert project.table()["source"].tolist() == table["path"].tolist()
    assert project.said[-2] == "valid taken from the training part, by speaker"
