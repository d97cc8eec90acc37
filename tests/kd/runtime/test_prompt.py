"""The prompt with files that fail, arguments that make no sense, odd names, and terminals of any encoding."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_export import export_tiny

from kd.runtime import spot, transcribe
from kd.runtime.find import find
from kd.runtime.names import names_of
from kd.runtime.options import Parser
from kd.runtime.program import main

RATE = 16_000
REPO = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(export_tiny(tmp_path_factory.mktemp("tiny")))


def sound(file: Path, seconds: float = 0.5, channels: int = 1) -> str:
    samples = 0.1 * np.random.default_rng(0).standard_normal((round(seconds * RATE), channels))
    soundfile.write(file, samples.astype(np.float32), RATE)
    return str(file)


def lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line]


@pytest.mark.parametrize("command", [transcribe, spot])
def test_every_option_says_what_it_is(command) -> None:
    parser = Parser("kd")
    command.add_options(parser)
    assert [action.dest for action in parser._actions if not action.help] == []
    assert parser.format_help()


def test_hidden_folders_are_left_alone_unless_they_are_named(tmp_path: Path) -> None:
    for name in ("a.wav", ".venv/lib/b.wav", "talks/c.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert find([str(tmp_path)]).files == [str(tmp_path / name) for name in ("a.wav", "talks/c.wav")]
    assert find([str(tmp_path / ".venv")]).files == [str(tmp_path / ".venv/lib/b.wav")]


def test_a_folder_is_done_but_for_what_fails_and_that_is_named(model: str, tmp_path: Path, capsys) -> None:
    sound(tmp_path / "a.wav")
    (tmp_path / "x.wav").mkdir()
    sound(tmp_path / "x.wav" / "inside.wav")
    (tmp_path / "broken.wav").write_bytes(b"RIFFnothing")
    (tmp_path / "._a.wav").write_bytes(b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X")
    (tmp_path / "dead.wav").symlink_to("nowhere")
    (tmp_path / "talk.m4a").write_bytes(b"\x00\x00\x00\x20ftypM4A ")
    (tmp_path / "notes.txt").write_text("no audio")
    os.mkfifo(tmp_path / "pipe.wav")
    sound(tmp_path / "z.flac")
    assert main(["transcribe", model, str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert [line.split("\t")[0] for line in lines(captured.out)] == [
        str(tmp_path / name) for name in ("a.wav", "x.wav/inside.wav", "z.flac")
    ]
    said = lines(captured.err)
    assert len(said) == 5
    for name in ("broken.wav", "._a.wav", "dead.wav", "talk.m4a", "pipe.wav"):
        assert sum(f"/{name}: " in line for line in said) == 1, name
    assert any("m4a cannot be read. Convert it to WAV or FLAC first" in line for line in said)


def test_a_file_that_is_not_there_stops_no_other(model: str, tmp_path: Path, capsys) -> None:
    assert main(["transcribe", model, "missing.wav", sound(tmp_path / "a.wav"), "--format", "json"]) == 1
    captured = capsys.readouterr()
    assert [json.loads(line)["file"] for line in lines(captured.out)] == [str(tmp_path / "a.wav")]
    assert "missing.wav: no such file" in captured.err
    assert main(["transcribe", model, "missing.wav"]) == 2


def test_what_is_cut_off_is_transcribed_and_said(model: str, tmp_path: Path, capsys) -> None:
    file = Path(sound(tmp_path / "a.wav", seconds=1.0))
    file.write_bytes(file.read_bytes()[:20_000])
    assert main(["transcribe", model, str(file), "--format", "json"]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["duration_s"] == pytest.approx(0.623, abs=0.002)
    assert "is it cut off?" in captured.err
    assert len(lines(captured.err)) == 1


def test_what_is_done_to_a_recording_is_said(model: str, tmp_path: Path, capsys) -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal((RATE, 1)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", np.hstack([noise, -noise]), RATE)
    assert main(["transcribe", model, str(tmp_path / "a.wav")]) == 0
    assert "cancel each other out: channel" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["", " "])
@pytest.mark.parametrize("option", [[], ["--out"], ["--lm"]])
def test_an_empty_name_is_refused(model: str, place: str, option: list[str], capsys) -> None:
    audio = "a.wav" if option else place
    assert main(["transcribe", model, audio, *option, *([place] if option else [])]) == 2
    assert "the name of a file is empty" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["x" * 5_000, "/".join(["x" * 200] * 30)])
def test_a_name_that_is_too_long_is_refused(model: str, name: str, capsys) -> None:
    for arguments in ([model, name], [name, "a.wav"], [model, "a.wav", "--lm", name], [model, "a.wav", "--out", name]):
        assert main(["transcribe", *arguments]) == 2
        (line,) = lines(capsys.readouterr().err)
        assert "the name of a file is too long" in line
        assert len(line) <= 500


NUMBERS = (
    "--rate", "--threads", "--level", "--chunk-s", "--context-s", "--beam", "--lm-weight", "--word-bonus",
    "--hotword-boost",
)  # fmt: skip


@pytest.mark.parametrize("option", NUMBERS)
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e22", "-1000000", "9" * 5_000, "many"])
def test_numbers_that_make_no_sense_are_refused(model: str, option: str, value: str, tmp_path: Path, capsys) -> None:
    assert main(["transcribe", model, str(tmp_path), f"{option}={value}"]) == 2
    (line,) = lines(capsys.readouterr().err)
    assert option in line
    assert len(line) < 500


@pytest.mark.parametrize("option", ["--threshold", "--false-alarms-per-hour"])
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e22", "-7"])
def test_numbers_of_spotting_that_make_no_sense_are_refused(model: str, option: str, value: str, capsys) -> None:
    assert main(["spot", model, "a.wav", "--keywords", "k", "--background", "b", f"{option}={value}"]) == 2
    assert option in capsys.readouterr().err


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    command=st.sampled_from(["transcribe", "spot", "listen", ""]),
    arguments=st.lists(
        st.one_of(
            st.sampled_from(["MODEL", "SOUND", "--format", "json", "srt", "--stream", "--keywords", *NUMBERS]),
            st.floats().map(str),
            st.integers().map(str),
            st.text(st.characters(exclude_characters="-"), max_size=20),
        ),
        max_size=6,
    ),
)
def test_any_arguments_end_in_a_code_and_short_lines(
    model: str, tmp_path: Path, capsys, monkeypatch, command: str, arguments: list[str]
) -> None:
    if not (tmp_path / "a.wav").exists():
        sound(tmp_path / "a.wav", 0.1)
        (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    known = {"MODEL": model, "SOUND": str(tmp_path / "a.wav")}
    code = main([command, *(known.get(argument, argument) for argument in arguments)])
    assert code in (0, 1, 2)
    assert all(len(line) <= 500 for line in capsys.readouterr().err.split("\n"))
    for file in (tmp_path / "empty").iterdir():
        file.unlink()


def through_standard_input(monkeypatch, data: bytes, arguments: list[str]) -> int:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    return main(arguments)


@pytest.mark.parametrize("size", [None, 0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_wav_on_standard_input_is_recognised(model: str, tmp_path: Path, capsys, monkeypatch, size) -> None:
    data = bytearray(Path(sound(tmp_path / "a.wav", channels=2)).read_bytes())
    assert main(["transcribe", model, str(tmp_path / "a.wav"), "--format", "json"]) == 0
    expected = json.loads(capsys.readouterr().out)
    if size is not None:
        data[40:44] = size.to_bytes(4, "little")
    if size is None:
        data += b"LIST\x04\0\0\0INFO"
    assert through_standard_input(monkeypatch, bytes(data), ["transcribe", model, "-", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {**expected, "file": "-"}


def test_a_level_on_standard_input_is_that_of_the_file(model: str, tmp_path: Path, capsys, monkeypatch) -> None:
    data = Path(sound(tmp_path / "a.wav")).read_bytes()
    options = ["--format", "json", "--level", "-23"]
    assert main(["transcribe", model, str(tmp_path / "a.wav"), *options]) == 0
    expected = json.loads(capsys.readouterr().out)
    assert through_standard_input(monkeypatch, data, ["transcribe", model, "-", *options]) == 0
    assert json.loads(capsys.readouterr().out) == {**expected, "file": "-"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda file: soundfile.write(file, np.zeros(99), RATE, "PCM_24", format="WAV"), "24 bits"),
        (lambda file: soundfile.write(file, np.zeros(99), RATE, format="FLAC"), "a FLAC file"),
        (lambda file: soundfile.write(file, np.zeros(99), RATE, format="OGG"), "an Ogg file"),
        (lambda file: file.write_bytes(b"RIFF\0\0\0\0WAVEfmt "), "no samples"),
        (lambda file: file.write_bytes(b""), "no samples"),
    ],
)
def test_what_else_comes_on_standard_input_is_refused(
    model: str, tmp_path: Path, capsys, monkeypatch, make, message
) -> None:
    make(tmp_path / "x")
    assert through_standard_input(monkeypatch, (tmp_path / "x").read_bytes(), ["transcribe", model, "-"]) == 2
    (line,) = lines(capsys.readouterr().err)
    assert message in line


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1", "cp1252"])
def test_names_that_are_not_utf_8_are_printed_in_any_encoding(model: str, tmp_path: Path, encoding: str) -> None:
    names = [b"caf\xe9.wav", "naïve € 語.wav".encode(), b"two\nlines.wav", b"bad\xff.wav"]
    for name in names[:3]:
        sound(tmp_path / "a.wav")
        os.rename(tmp_path / "a.wav", os.fsencode(tmp_path) + b"/" + name)  # noqa: PTH104  # bytes
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + names[3])).write_bytes(b"nothing")
    environment = {**os.environ, "PYTHONPATH": str(REPO), "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-m", "kd.runtime", "transcribe", model, str(tmp_path), "--format"]
    for form in ("json", "text"):
        done = subprocess.run([*command, form], capture_output=True, env=environment, check=False)
        said = done.stderr.decode(encoding)
        assert done.returncode == 1, said
        assert "Traceback" not in said
        assert len(lines(said)) == 1
        assert r"bad\udcff.wav" in said
        heard = lines(done.stdout.decode(encoding))
        assert len(heard) == 3
        if form == "json":
            found = {os.fsencode(Path(json.loads(line)["file"]).name) for line in heard}
            assert found == set(names[:3])
    out = subprocess.run([*command, "json", "--out", str(tmp_path / "out")], env=environment, check=False)
    assert out.returncode == 1
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_no_two_transcripts_have_one_name() -> None:
    files = ["a.wav", "x/b.wav", "y/b.wav", "x_b.wav", "c/d.wav", "c/d.flac", "-", "stdin.wav", "A.flac", "x/b.wav"]
    names = names_of(files)
    assert len({name.casefold() for name in names.values()}) == len(set(files))
    assert names["x/b.wav"] == "x_b.wav" or names["x_b.wav"] == "x_b"


def test_keyword_models_take_no_long_audio(tmp_path: Path, capsys) -> None:
    model = str(export_tiny(tmp_path, "cnn", "keyword"))
    files = [sound(tmp_path / "short.wav", 1.0), sound(tmp_path / "long.wav", 61.0)]
    assert main(["transcribe", model, *files]) == 1
    captured = capsys.readouterr()
    assert len(lines(captured.out)) == 1
    assert "long.wav: longer than 60 s" in captured.err
