"""Data sets of Hugging Face as Parquet: their audio is written as it is, a few rows at a time."""

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from hub import hub_of
from manifests import KEEP_ALL

from tasks.data.corpora.raw import Place, RawUtterance, read_raw
from tasks.data.corpora.several import SINGLE
from tasks.runner.reporter import NullReporter
from tasks.stages import corpus

AUDIO = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def encoded(number: int, seconds: float = 1.0, form: str = "FLAC") -> bytes:
    out = io.BytesIO()
    samples = np.random.default_rng(number).uniform(-0.1, 0.1, int(16_000 * seconds))
    soundfile.write(out, samples, 16_000, format=form)
    return out.getvalue()


def write(project: Any, name: str, metadata: dict[bytes, bytes] | None = None, **columns: Any) -> None:
    file = project.recordings / name
    file.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({key: pa.array(v, AUDIO) if key == "audio" else v for key, v in columns.items()})
    pq.write_table(table.replace_schema_metadata(metadata), file)


def settings(**more: Any) -> dict[str, Any]:
    return {"kind": "huggingface", "root": "corpus", "files": {"train": "data/train-*.parquet"}, **more}


def read(project: Any, **more: Any) -> list[RawUtterance]:
    corpus.run(project.params(corpus=settings(**more)), project.paths)
    return list(read_raw(project.paths.raw / "utterances.parquet"))


def test_bytes_become_files_as_they_are_and_bad_rows_are_put_aside(project):
    good = [
        {"bytes": encoded(i, form=("FLAC", "WAV")[i % 2]), "path": f"{i}.{('flac', 'wav')[i % 2]}"} for i in range(6)
    ]
    project.record("data/beside.wav")
    audio = [*good, {"bytes": None, "path": "beside.wav"}, {"bytes": None, "path": None}, None]
    audio += [{"bytes": b"", "path": "a.wav"}, {"bytes": b"no sound", "path": None}, good[0], good[1]]
    count = len(audio)
    texts = ["one two"] * (count - 1) + [None]
    write(project, "data/train-00000-of-00001.parquet", audio=audio, sentence=texts, speaker_id=[*range(count)])
    write(
        project, "data/valid.parquet", audio=[{"bytes": encoded(20), "path": None}], sentence=["one"], speaker_id=[90]
    )
    write(project, "data/test.parquet", audio=[{"bytes": encoded(21), "path": None}], sentence=["one"], speaker_id=[91])
    files = {"train": "data/train-*.parquet", "valid": "data/valid.parquet", "test": "data/test.parquet"}
    rows = read(project, files=files)
    assert [(row.root, row.path) for row in rows[:2]] == [
        ("data/raw", "audio/train-00000/0000/0000001.flac"),
        ("data/raw", "audio/train-00000/0000/0000002.wav"),
    ]
    assert (project.paths.raw / rows[0].path).read_bytes() == good[0]["bytes"]
    assert (rows[6].root, rows[6].path, rows[6].speaker) == ("corpus", "data/beside.wav", "6")
    project.prepare(corpus=settings(files=files), preprocess=KEEP_ALL)
    aside = {name.rpartition("-")[2]: reason for name, reason in project.quarantine().items()}
    assert aside == {
        "0000008": "missing_file", "0000009": "missing_file", "0000010": "empty", "0000011": "unreadable",
        "0000012": "duplicate", "0000013": "missing_text",
    }  # fmt: skip
    said = (project.paths.prepared / "quarantine.csv").read_text()
    assert "train-00000-of-00001.parquet, row 8: column audio has neither bytes nor a path" in said
    assert len(project.table()) == 9


def test_columns_may_be_named(project):
    audio = [{"bytes": encoded(0), "path": None}]
    write(project, "data/train-0.parquet", audio=audio, text=["raw"], norm=["one"], voice=["ann"])
    row = read(project, text="norm", speaker="voice", audio="audio")[0]
    assert (row.text, row.speaker) == ("one", "ann")
    assert read(project)[0].text == "raw"


def test_no_more_than_a_few_rows_are_read_ahead(project):
    """Of a long table the first row comes before the last is looked at."""
    audio = [{"bytes": encoded(0, 0.1), "path": None}] * 200
    write(project, "data/train-0.parquet", audio=audio, text=["one"] * 200)
    out = project.root / "out"
    out.mkdir()
    rows = SINGLE["huggingface"](project.params(corpus=settings()).corpus, Place(project.root, out, NullReporter()))
    next(rows)
    assert len(list(out.rglob("*.audio"))) == 1
    assert len(list(rows)) == 199


@pytest.mark.parametrize(
    ("columns", "more", "message"),
    [
        ({"text": ["one"]}, {}, r"train-0\.parquet: no column holds the bytes .*; found text \(string\)\. Write the"),
        (
            {"audio": [None], "text": ["one"]},
            {"text": "words"},
            "no column words, which corpus.text names; found audio",
        ),
        ({"audio": [None], "text": ["one"]}, {"audio": "text"}, "no column holds the bytes of recordings"),
        ({"audio": [None], "text": [[1]]}, {}, r"row 1, column text: found \[1\], expected text"),
    ],
)
def test_what_is_no_such_data_set_is_an_error(project, columns, more, message):
    write(project, "data/train-0.parquet", **columns)
    with pytest.raises(ValueError, match=message):
        read(project, **more)


def test_a_damaged_file_is_an_error(project):
    write(project, "data/train-0.parquet", audio=[None], text=["one"])
    file = project.recordings / "data/train-0.parquet"
    file.write_bytes(file.read_bytes()[:-6])
    with pytest.raises(
        ValueError, match=r"^data/train-0\.parquet cannot be read as Parquet: .*Write or fetch it again"
    ):
        read(project)
    with pytest.raises(ValueError, match="nothing is called data/no"):
        read(project, files={"train": "data/no-*.parquet"})
    with pytest.raises(ValueError, match="no such file"):
        read(project, files={"train": "data/no.parquet"})


def test_a_data_set_that_datasets_wrote(project):
    """Its own types of columns: Audio and ClassLabel, whose numbers stand for names."""
    datasets = pytest.importorskip("datasets", reason="make test installs it (requirements-test.lock)")
    features = datasets.Features({
        "audio": datasets.Audio(decode=False), "label": datasets.ClassLabel(names=["yes", "no"]),
        "speaker": datasets.Value("string"),
    })  # fmt: skip
    rows = {
        "audio": [{"bytes": encoded(i), "path": f"{i}.flac"} for i in range(4)],
        "label": [0, 1, -1, None],
        "speaker": list("abcd"),
    }
    (project.recordings / "data").mkdir(parents=True)
    table = pa.table(rows, schema=features.arrow_schema)
    made = datasets.Dataset(table, info=datasets.DatasetInfo(features=features))
    made.to_parquet(project.recordings / "data/train-0.parquet")
    found = read(project, text="label")
    assert [row.text for row in found] == ["yes", "no", None, None]
    assert [row.speaker for row in found] == list("abcd")
    assert [(project.paths.raw / row.path).read_bytes() for row in found] == [cell["bytes"] for cell in rows["audio"]]


def test_a_data_set_on_the_hub_is_read_by_its_name(project, monkeypatch):
    audio = [{"bytes": encoded(i), "path": f"{i}.flac"} for i in range(3)]
    write(project, "x.parquet", audio=audio, text=["one"] * 3)
    with hub_of((project.recordings / "x.parquet").read_bytes(), monkeypatch) as hub:
        rows = read(project, hub="me/x", files={"train": "en/train/*.parquet"})
        assert [(project.paths.raw / row.path).read_bytes() for row in rows] == [cell["bytes"] for cell in audio]
        assert hub.asked
        with pytest.raises(ValueError, match=r"nothing is called hf://datasets/me/x@refs%2Fconvert%2Fparquet/fr/\*"):
            read(project, hub="me/x", files={"train": "fr/*.parquet"})
        with pytest.raises(ValueError, match=r"hf://datasets/me/y@.*/a.parquet: there is no such file: correct"):
            read(project, hub="me/y", files={"train": "a.parquet"})
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        with pytest.raises(ValueError, match=r"en/train/.*parquet cannot be read: .*set HF_HUB_OFFLINE=0 for this run"):
            read(project, hub="me/x", files={"train": "en/train/*.parquet"})
