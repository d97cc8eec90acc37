"""docs/refusals.md is true: each row of its tables of files and arguments is done here, and none is left out."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from refusals_page import rows_of
from tiny_export import export_tiny

from kd.runtime.program import main
from tasks.data.corpora.phrases import read_phrases
from tasks.data.preparation.audio import decode_stretch, locate
from tasks.data.preparation.quarantine import RejectedError
from tasks.data.tables import Columns, read_table

RATE = 16_000
COLUMNS = Columns(("path", "text", "split"), ("snr_db",), needed=("path", "text"))


TABLES: dict[str, tuple[str, bytes, str]] = {
    "another suffix than .csv, .tsv, .jsonl, .parquet": ("t.xlsx", b"path,text\n", "a table ends in"),
    "UTF-16 or UTF-32": ("t.csv", "path,text\na,b\n".encode("utf-16"), "is UTF-16"),
    "a byte that is not UTF-8": ("t.csv", b"path,text\na,caf\xe9\n", "row 1 .*column text: byte 0xe9"),
    "a row with fewer or more cells than the header": ("t.tsv", b"path\ttext\na\n", "row 1 .*fewer cells"),
    "a quote in CSV that is not closed": ("t.csv", b'path,text\na,"b\nc\n', "must end with"),
    "a cell in CSV with a line break and a comma": ("t.csv", b'path,text\na,"b\nc,d"\n', "swallowed rows"),
    "a column that is there twice": ("t.csv", b"path,text,text\na,b,c\n", "'text' twice"),
    "a column that looks like ours": ("t.csv", b"path,text,Split\na,b,test\n", "looks like our split"),
    "a column that is needed and missing": ("t.csv", b"path,x\na,b\n", "no column text"),
    "a cell of a column of numbers that is no number": ("t.csv", b"path,text,snr_db\na,b,loud\n", "row 1 .*no number"),
    "a line of JSON that is no object": ("t.jsonl", b"[1, 2]\n", "line 1: expected an object"),
    "a Parquet file that is damaged": ("t.parquet", b"PAR1nothing", "cannot be read as .parquet"),
    "a list of phrases with control characters": ("p.txt", b"one\x07\n", "line 1 holds the control character"),
    "a list of phrases without any": ("p.txt", b"# nothing\n", "holds no phrase"),
}


def test_no_row_of_tables_is_left_out():
    assert set(rows_of("Tables and lists of phrases")) == set(TABLES)


@pytest.mark.parametrize("what", TABLES)
def test_tables(tmp_path, what):
    name, content, message = TABLES[what]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as refused:
        read_phrases(tmp_path / name) if name == "p.txt" else list(read_table(tmp_path / name, COLUMNS))
    assert "\n" not in str(refused.value)


def sound(file: Path, samples: np.ndarray | None = None, rate_hz: int = RATE, subtype: str = "PCM_16") -> Path:
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE)
    soundfile.write(file, noise if samples is None else samples, rate_hz, subtype=subtype)
    return file


def written(content: bytes) -> Callable[[Path], object]:
    return lambda file: file.write_bytes(content)


def cut(file: Path) -> None:
    sound(file)
    file.write_bytes(file.read_bytes()[:20_000])


AUDIO: dict[str, Callable[[Path], object]] = {
    "no such file, or a dead link": lambda file: file.symlink_to("nowhere"),
    "a folder or a device in place of a file": lambda file: file.mkdir(),
    "a file without bytes": written(b""),
    "a header without samples": lambda file: sound(file, np.zeros(0)),
    "a pointer of Git LFS": written(b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"),
    "what libsndfile cannot decode": written(b"this is no audio"),
    "less sound than the header promises": cut,
    "a rate below 1 kHz or above 768 kHz": lambda file: sound(file, rate_hz=500),
    "a sample that is no number, infinite, or beyond 2^31": lambda file: sound(
        file, np.full(RATE, np.nan), subtype="FLOAT"
    ),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def keyword_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_tiny(tmp_path_factory.mktemp("keyword"), problem="keyword")


def test_no_row_of_audio_is_left_out():
    assert set(rows_of("Audio")) == set(AUDIO)


@pytest.mark.parametrize("what", AUDIO)
def test_audio(tmp_path, model, capsys, what):
    prompt, reason = rows_of("Audio")[what]
    file = tmp_path / "a.wav"
    AUDIO[what](file)
    with pytest.raises(RejectedError, match=f"^{reason.strip('`')}: ") as refused:
        decode_stretch(locate(tmp_path, "a.wav"), None, None, RATE)
    assert "\n" not in str(refused.value)
    if prompt != "–":
        assert main(["transcribe", str(model), str(file)]) == int(prompt[-1])
        captured = capsys.readouterr()
        assert captured.err.count("\n") == 1
        assert bool(captured.out) == prompt.startswith("transcribed")
        sound(tmp_path / "b.wav")
        assert main(["transcribe", str(model), str(file), str(tmp_path / "b.wav")]) == 1


class Prompt:
    """Arguments for the runtime, in a folder with one good recording."""

    def __init__(self, folder: Path, model: Path, keyword_model: Path) -> None:
        self.folder, self.model, self.keyword_model = folder, model, keyword_model
        self.good = str(sound(folder / "good.wav"))
        self.stdin = b""

    def file(self, name: str, content: bytes) -> str:
        (self.folder / name).write_bytes(content)
        return str(self.folder / name)

    def transcribe(self, *arguments: str) -> list[list[str]]:
        return [["transcribe", str(self.model), self.good, *arguments]]

    def spot(self, phrases: bytes, *arguments: str) -> list[list[str]]:
        return [["spot", str(self.model), self.good, "--keywords", self.file("phrases", phrases), *arguments]]

    def words(self, content: bytes) -> list[list[str]]:
        return self.transcribe("--beam", "4", "--words", self.file("words", content))

    def copied(self, name: str, change: Callable[[bytes], bytes]) -> list[list[str]]:
        folder = self.folder / "model"
        folder.mkdir()
        for file in self.model.iterdir():
            if file.is_file():
                content = file.read_bytes()
                (folder / file.name).write_bytes(change(content) if file.name == name else content)
        return [["transcribe", str(folder), self.good]]

    def piped(self, content: bytes, *arguments: str) -> list[list[str]]:
        self.stdin = content
        return [["transcribe", str(self.model), "-", *arguments]]

    def wav(self) -> bytes:
        return Path(self.good).read_bytes()


def odd_folder(prompt: Prompt, *, good: bool) -> list[list[str]]:
    folder = prompt.folder / "sounds"
    folder.mkdir()
    (folder / "notes.txt").write_text("no audio")
    if good:
        sound(folder / "a.wav")
        (folder / "b.m4a").write_bytes(b"ftyp")
    return [["transcribe", str(prompt.model), str(folder)]]


def long_keyword(prompt: Prompt) -> list[list[str]]:
    file = sound(prompt.folder / "long.wav", np.zeros(61 * RATE))
    return [["transcribe", str(prompt.keyword_model), str(file)]]


NUMBERS = ("--rate=1", "--level=3", "--lm-weight=nan", "--threads=0", "--chunk-s=0", "--word-bonus=1e22")
UNFIT = (["--beam", "4"], ["--out", "x"], ["--level=-23"], ["--form", "int8"], ["--format", "srt"])

RUNTIME: dict[str, Callable[[Prompt], list[list[str]]]] = {
    "an empty name of a file": lambda p: [["transcribe", str(p.model), ""], *p.transcribe("--out", "")],
    "a number that makes no sense: a rate, a level, a weight, threads, seconds, a threshold": lambda p: [
        *(p.transcribe(number)[0] for number in NUMBERS), *p.spot(b"abc", "--threshold=1"),
    ],
    "`--lm` or `--words` without `--beam`": lambda p: [*p.transcribe("--lm", "x"), *p.transcribe("--words", "x")],
    "`--stream` with `--beam`, `--out`, `--level`, another form or subtitles": lambda p: [
        p.transcribe("--stream", *unfit)[0] for unfit in UNFIT
    ],
    "subtitles of several files without `--out`": lambda p: p.transcribe(p.good, "--format", "srt"),
    "`--background` without `--false-alarms-per-hour`, or with `--threshold`": lambda p: [
        *p.spot(b"abc", "--background", p.good),
        *p.spot(b"abc", "--background", p.good, "--false-alarms-per-hour=1", "--threshold=-1"),
    ],
    "a folder that is no exported model": lambda p: [["transcribe", str(p.folder), p.good]],
    "a file of an export that is cut off, or of another export": lambda p: p.copied("model.onnx", lambda b: b[:999]),
    "an export.json that is cut off or of another format": lambda p: p.copied("export.json", lambda b: b[:99]),
    "a list of words, phrases or n-grams that is not UTF-8": lambda p: [
        *p.words(b"caf\xe9"), *p.spot("abc".encode("utf-16")),
        *p.transcribe("--beam", "4", "--lm", p.file("lm", b"caf\xe9")),
    ],
    "a list that holds nothing": lambda p: [*p.words(b"\n"), *p.spot(b"# nothing\n")],
    "a phrase that the model's tokens cannot spell": lambda p: p.spot(b"xyz"),
    "words of which the tokens can spell none": lambda p: p.words(b"xyz uvw"),
    "words of which the tokens can spell some": lambda p: p.words(b"abc xyz"),
    "a folder without audio": lambda p: odd_folder(p, good=False),
    "a format in a folder that cannot be read, beside others": lambda p: odd_folder(p, good=True),
    "phrases looked for by a keyword model": lambda p: [
        ["spot", str(p.keyword_model), p.good, "--keywords", p.file("phrases", b"abc")]
    ],
    "a recording above a minute, to a keyword model": long_keyword,
    "a FLAC, Ogg or MP3 on standard input": lambda p: p.piped(b"fLaC" + bytes(100)),
    "a WAV on standard input whose rate is not that of `--rate`": lambda p: p.piped(p.wav(), "--rate=8000"),
    "standard input without a sample": lambda p: p.piped(b""),
}  # fmt: skip


def test_no_row_of_the_runtime_is_left_out():
    assert set(rows_of("The runtime at the prompt")) == set(RUNTIME)


@pytest.mark.parametrize("what", RUNTIME)
def test_runtime(tmp_path, model, keyword_model, capsys, monkeypatch, what):
    (cell,) = rows_of("The runtime at the prompt")[what]
    prompt = Prompt(tmp_path, model, keyword_model)
    for arguments in RUNTIME[what](prompt):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(prompt.stdin)))
        assert main(arguments) == int(cell[0]), arguments
        said = capsys.readouterr().err
        assert said.count("\n") == 1, said
        assert len(said) <= 500
