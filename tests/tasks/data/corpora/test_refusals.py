"""docs/refusals.md is true of corpora of other tools: each row is done here, and none is left out."""

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter
from refusals_page import rows_of

from tasks.data.corpora.raw import Place
from tasks.data.corpora.several import SINGLE
from tasks.params.corpora import OneCorpus
from tasks.runner.reporter import NullReporter


def parquet(columns: dict[str, list[Any]]) -> bytes:
    memory = io.BytesIO()
    pq.write_table(pa.table(columns), memory)
    return memory.getvalue()


CORPORA: dict[str, tuple[dict[str, Any], dict[str, bytes], str]] = {
    "a command in `wav.scp`": (
        {"kind": "kaldi", "folders": {"all": "d"}},
        {"d/wav.scp": b"a cat a.sph |\n"},
        r"d/wav\.scp, line 1: a is the output of a command",
    ),
    "a data folder without `wav.scp`": (
        {"kind": "kaldi", "folders": {"all": "d"}},
        {"d/text": b"a one\n"},
        r"d/wav\.scp: no such file",
    ),
    "a row of a NeMo manifest with neither audio nor transcript": (
        {"kind": "nemo", "files": {"all": "m.json"}},
        {"m.json": b'{"wav": "a.wav", "words": "one"}\n'},
        r"m\.json, row 1: no column audio_filepath and no column text",
    ),
    "a table of Common Voice without a column of sentences": (
        {"kind": "common_voice", "files": {"all": "t.tsv"}},
        {"t.tsv": b"client_id\tpath\nx\ta.mp3\n"},
        r"t\.tsv, the header .*no column sentence",
    ),
    "Parquet without a column of bytes": (
        {"kind": "huggingface", "files": {"all": "p.parquet"}},
        {"p.parquet": parquet({"text": ["one"]})},
        r"p\.parquet: no column holds the bytes",
    ),
    "Parquet without a column that the parameters name": (
        {"kind": "huggingface", "files": {"all": "p.parquet"}, "text": "words"},
        {"p.parquet": parquet({"audio": [b"RIFF"], "text": ["one"]})},
        r"p\.parquet: no column words, which corpus\.text names",
    ),
    "a tar archive that breaks off": (
        {"kind": "webdataset", "files": {"all": "a.tar"}},
        {"a.tar": b"a.wav" + b"\0" * 300},
        r"a\.tar cannot be read as a tar archive",
    ),
    "archives of a NeMo corpus that are not as many as its manifests": (
        {"kind": "nemo", "files": {"all": "m*.json"}, "tars": {"all": "a.tar"}},
        {"m1.json": b"", "m2.json": b"", "a.tar": b""},
        r"corpus\.files\.all are 2 manifests, corpus\.tars\.all 1 archives",
    ),
    "a pattern that nothing is called by": (
        {"kind": "webdataset", "files": {"all": "no-*.tar"}},
        {},
        r"corpus\.files\.all: nothing is called no-\*\.tar",
    ),
    "an address whose store refuses or does not answer": (
        {"kind": "nemo", "files": {"all": "http://127.0.0.1:9/m.json"}},
        {},
        r"http://127\.0\.0\.1:9/m\.json cannot be read: .*Is there a connection",
    ),
    "an address of addresses (`::`)": (
        {"kind": "nemo", "files": {"all": "http://127.0.0.1:9/m::file:///elsewhere.json"}},
        {},
        "an address within another may lead to files of this machine",
    ),
}


def test_no_row_of_corpora_is_left_out():
    assert set(rows_of("Corpora of other tools")) == set(CORPORA)


@pytest.mark.parametrize("what", CORPORA)
def test_corpora(tmp_path, what):
    settings, files, message = CORPORA[what]
    for name, content in files.items():
        (tmp_path / "corpus" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "corpus" / name).write_bytes(content)
    corpus = TypeAdapter(OneCorpus).validate_python({"root": "corpus", **settings})
    with pytest.raises(ValueError, match=message) as refused:
        list(SINGLE[corpus.kind](corpus, Place(tmp_path, tmp_path, NullReporter())))
    assert "\n" not in str(refused.value)
