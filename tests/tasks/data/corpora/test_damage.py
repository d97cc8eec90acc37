"""Whatever happened to the files of a corpus, each door gives rows or one line of refusal, and no traceback."""

import io
import json
import shutil
import tarfile
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from fuzzing.damage import damaged_bytes
from fuzzing.outcomes import refusal
from pydantic import TypeAdapter

from tasks.data.corpora.raw import Place, write_raw
from tasks.data.corpora.several import SINGLE
from tasks.params.corpora import OneCorpus
from tasks.runner.reporter import NullReporter

CASES = 40
CORPORA: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "kaldi": ({"folders": {"all": "k"}}, ("k/wav.scp", "k/text", "k/utt2spk", "k/segments")),
    "nemo": ({"files": {"all": "m.json"}, "tars": {"all": "n.tar"}}, ("m.json", "n.tar")),
    "common_voice": ({"files": {"all": "t.tsv"}}, ("t.tsv",)),
    "huggingface": ({"files": {"all": "p.parquet"}}, ("p.parquet",)),
    "webdataset": ({"files": {"all": "w.tar"}}, ("w.tar",)),
    "lhotse": ({"files": {"train": "cuts.jsonl", "test": "shar"}}, ("cuts.jsonl", "shar/cuts.000000.jsonl.gz")),
}
"""Settings, and the files that are damaged."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    speech = [_encoded(i) for i in range(4)]
    (folder / "k").mkdir()
    (folder / "k/wav.scp").write_text("a a.wav\nb b.wav\n")
    (folder / "k/text").write_text("u1 one two\nu2 three\n")
    (folder / "k/utt2spk").write_text("u1 s\nu2 s\n")
    (folder / "k/segments").write_text("u1 a 0 1.5\nu2 b 0.5 2\n")
    rows = [{"audio_filepath": f"{i}.flac", "offset": 0.5, "duration": 1, "text": "one"} for i in range(4)]
    (folder / "m.json").write_text("\n".join(map(json.dumps, rows)))
    (folder / "t.tsv").write_text('client_id\tpath\tsentence\nx\ta.mp3\t"one\ny\tb.mp3\ttwo\n')
    audio = pa.array([{"bytes": data, "path": "a.flac"} for data in speech])
    pq.write_table(pa.table({"audio": audio, "text": ["one", "two", "é", "x"]}), folder / "p.parquet")
    _archive(folder / "n.tar", {f"{i}.flac": data for i, data in enumerate(speech)})
    _archive(
        folder / "w.tar", {f"{i}.{end}": d for i, a in enumerate(speech) for end, d in (("flac", a), ("txt", b"a"))}
    )
    return folder


def _encoded(number: int) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, np.random.default_rng(number).uniform(-0.1, 0.1, 1_600), 16_000, format="FLAC")
    return out.getvalue()


def _archive(file: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(file, "w") as out:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))


def _with_lhotse(folder: Path) -> None:
    lhotse = pytest.importorskip("lhotse", reason="make test installs it (requirements-test.lock)")
    (folder / "a.flac").write_bytes(_encoded(0))
    recording = lhotse.Recording.from_file(folder / "a.flac")
    said = [lhotse.SupervisionSegment("s", recording.id, 0, recording.duration, text="one", speaker="a")]
    cuts = lhotse.CutSet.from_cuts([lhotse.MonoCut(f"c{i}", 0, 0.1, 0, said, recording=recording) for i in range(3)])
    cuts.to_file(folder / "cuts.jsonl")
    (folder / "shar").mkdir()
    cuts.to_shar(folder / "shar", fields={"recording": "flac"}, shard_size=2)


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # of archives that lhotse leaves to be collected
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", CORPORA)
def test_damaged_files_give_rows_or_one_line(tmp_path, whole, kind):
    settings, files = CORPORA[kind]
    corpus = TypeAdapter(OneCorpus).validate_python({"kind": kind, "root": "corpus", **settings})
    shutil.copytree(whole, tmp_path / "corpus")
    if kind == "lhotse":
        _with_lhotse(tmp_path / "corpus")
    outcomes = []
    for number in range(CASES):
        rng = Random(number)
        file = tmp_path / "corpus" / rng.choice(files)
        good = file.read_bytes()
        file.write_bytes(damaged_bytes(rng, good))
        out = tmp_path / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        rows = SINGLE[kind](corpus, Place(tmp_path, out, NullReporter()))
        outcomes.append(refusal(lambda rows=rows: write_raw(tmp_path / "rows.parquet", rows)))
        file.write_bytes(good)
    assert set(outcomes) == {"done", "refused"}
