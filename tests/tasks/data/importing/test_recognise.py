"""What lies at a path says which corpus it is; paths in the settings are relative to the root."""

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.data.importing.recognise import settings_of

WAV_SCP = "a wav/a.wav\n"
CV = "client_id\tpath\tsentence\nx\ta.mp3\tone\n"
CUT = '{"id": "a", "recording": {"sources": [{"type": "file", "source": "wav/a.wav"}]}, "type": "MonoCut"}\n'
FILES = {
    "nemo/train.json": '{"audio_filepath": "wav/a.wav", "text": "one"}\n',
    "nemo/dev-clean.jsonl": '{"audio_filepath": "wav/a.wav", "text": "one"}\n',
    "egs/wav/a.wav": "",
    "egs/data/train/wav.scp": WAV_SCP,
    "egs/data/test/wav.scp": WAV_SCP,
    "egs/data/train_sp/wav.scp": WAV_SCP,
    "cv/train.tsv": CV,
    "cv/test.tsv": CV,
    "cv/validated.tsv": CV,
    "cv/clips/a.mp3": "",
    "cuts/train.jsonl": CUT,
    "cuts/shar/cuts.000000.jsonl.gz": "",
    "tars/train-0.tar": "",
    "tars/train-1.tar": "",
    "tars/other.tar": "",
    "mine/table.csv": "path,text\na.wav,one\n",
    "mine/table.jsonl": '{"path": "a.wav", "text": "one"}\n',
    "mine/words.txt": "one\n",
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for name in (
        "hf/data/train-00000-of-00002.parquet",
        "hf/data/train-00001-of-00002.parquet",
        "hf/data/test.parquet",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        pq.write_table(pa.table({"audio": pa.array([], kind), "text": pa.array([], pa.string())}), tmp_path / name)
    with gzip.open(tmp_path / "cuts/packed.jsonl.gz", "wt") as packed:
        packed.write(CUT.replace("wav/a.wav", str(tmp_path / "egs/wav/a.wav")))
    pq.write_table(pa.table({"path": ["a.wav"], "text": ["one"]}), tmp_path / "mine/table.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("given", "settings"),
    [
        (["nemo/train.json"], {"kind": "nemo", "root": "nemo", "files": {"all": "train.json"}}),
        (
            ["nemo/train.json", "nemo/dev-clean.jsonl"],
            {"kind": "nemo", "root": "nemo", "files": {"train": "train.json", "valid": "dev-clean.jsonl"}},
        ),
        (["test=nemo/*.json"], {"kind": "nemo", "root": "nemo", "files": {"test": "*.json"}}),
        (["egs/data/train"], {"kind": "kaldi", "root": "egs", "folders": {"all": "data/train"}}),
        (
            ["train=egs/data/train_sp", "egs/data/test"],
            {"kind": "kaldi", "root": "egs", "folders": {"train": "data/train_sp", "test": "data/test"}},
        ),
        (["cv"], {"kind": "common_voice", "root": "cv", "files": {"train": "train.tsv", "test": "test.tsv"}}),
        (["cv/validated.tsv"], {"kind": "common_voice", "root": "cv", "files": {"all": "validated.tsv"}}),
        (["cuts/train.jsonl"], {"kind": "lhotse", "root": "cuts", "files": {"all": "train.jsonl"}}),
        (["test=cuts/packed.jsonl.gz"], {"kind": "lhotse", "root": ".", "files": {"test": "cuts/packed.jsonl.gz"}}),
        (["cuts/shar"], {"kind": "lhotse", "root": "cuts", "files": {"all": "shar"}}),
        (
            ["tars"],
            {"kind": "webdataset", "root": "tars", "files": {"all": "other.tar", "train": "train-*.tar"}},
        ),
        (["tars/*.tar"], {"kind": "webdataset", "root": "tars", "files": {"all": "*.tar"}}),
        (["mine/table.csv"], {"kind": "manifest", "root": "mine", "file": "table.csv"}),
        (["mine/table.parquet"], {"kind": "manifest", "root": "mine", "file": "table.parquet"}),
        (
            ["hf"],
            {
                "kind": "huggingface",
                "root": "hf",
                "files": {"test": "data/test.parquet", "train": "data/train-*.parquet"},
            },
        ),
        (
            ["test=hf/data/test.parquet"],
            {"kind": "huggingface", "root": "hf/data", "files": {"test": "test.parquet"}},
        ),
        (["mine/table.jsonl"], {"kind": "manifest", "root": "mine", "file": "table.jsonl"}),
        (
            ["train=s3://b/train.json", "s3://b/test.json"],
            {
                "kind": "nemo",
                "root": "models/none",
                "files": {"train": "s3://b/train.json", "test": "s3://b/test.json"},
            },
        ),
    ],
)
def test_what_is_recognised(project, given, settings):
    assert settings_of(given, None, None, project) == settings


def test_the_root_is_where_recordings_lie_or_what_is_said(project):
    scp = project / "egs/data/test/wav.scp"
    scp.write_text(f"a {project}/mine/a.wav\n")
    assert settings_of(["egs/data/test"], None, None, project)["root"] == "."
    found = settings_of(["egs/data/test"], None, "egs/data", project)
    assert (found["root"], found["folders"]) == ("egs/data", {"all": "test"})
    outside = settings_of([str(project / "cv")], None, None, project / "egs")
    assert Path(outside["root"]) == project / "cv"


def test_the_parts_of_a_folder_of_data_folders_are_known_by_their_names(project):
    (project / "egs/data/train_sp/wav.scp").unlink()
    found = settings_of(["egs/data"], None, None, project)
    assert found == {"kind": "kaldi", "root": "egs", "folders": {"test": "data/test", "train": "data/train"}}


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (["nowhere"], None, "nowhere: there is no such file or folder"),
        (["nemo"], None, "nemo: a folder of no corpus that is known: expected Kaldi's wav.scp"),
        (["mine/words.txt"], None, "no corpus that is known ends in '.txt'"),
        (["mine/table.csv"], "espeak", "--kind: 'espeak' cannot be imported; there are manifest, nemo"),
        (["egs/data"], None, "train and .*train_sp are both of the part train: write PART=PATH"),
        (["train=mine/table.csv", "test=mine/table.jsonl"], None, "a manifest is one table"),
    ],
)
def test_what_is_not_recognised_is_said(project, given, kind, message):
    with pytest.raises(ValueError, match=message):
        settings_of(given, kind, None, project)
