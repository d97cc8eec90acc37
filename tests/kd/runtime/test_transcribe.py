"""`transcribe`: against the pipeline's own decoder, over long audio, as a program of its own, and what it writes."""

import io
import json
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import soundfile
import soxr
import torch
from exportable import checkpoint_of
from packaging.requirements import Requirement
from spoken_digits import RATE_HZ, Spoken, lines, write
from typer.testing import CliRunner

from flows.cli import app
from kd.audio.frontend import make_front_end
from kd.runtime.program import main
from kd.runtime.recogniser import Recogniser
from kd.text.decoding import ctc_greedy
from kd.text.metrics import word_edits
from tasks.checkpoint import load_checkpoint, save_checkpoint
from tasks.data.preparation.audio import decode, to_int16, to_rate
from tasks.params.pipeline import ExportParams, Params
from tasks.runner.paths import Paths
from tasks.stages import export

REPO = Path(__file__).parents[3]
PACKAGES = ("numpy", "onnxruntime", "soundfile")


def text_of_training(export: Path, spoken: Spoken) -> str:
    """What the pipeline decodes with PyTorch."""
    checkpoint = load_checkpoint(export.parents[1] / "models" / export.name)
    samples_1N, lengths_1 = torch.from_numpy(spoken.samples_N)[None], torch.tensor([len(spoken.samples_N)])
    with torch.no_grad():
        logits_BTV, lengths_B = checkpoint.model(*make_front_end(checkpoint.frontend)(samples_1N, lengths_1))
    return " ".join(checkpoint.vocabulary.decode(ctc_greedy(logits_BTV, lengths_B)[0]).split())


def what_pip_installs(names: Iterable[str]) -> set[str]:
    """Files and folders in site-packages of these packages and of all that they require."""
    waiting, seen, found = list(names), set(), set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        package = distribution(name)
        found |= {file.parts[0] for file in package.files or () if file.parts[0] not in ("..", "__pycache__")}
        wanted = (Requirement(line) for line in package.requires or ())
        waiting += [w.name for w in wanted if w.marker is None or w.marker.evaluate({"extra": ""})]
    return found


def test_texts_are_those_of_training(
    digits_export: Path, heard: list[Spoken], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i, spoken in enumerate(heard):
        write(tmp_path / f"{i:02d}.flac", spoken)
    assert main(["transcribe", str(digits_export), str(tmp_path)]) == 0
    found = [line.split("\t")[1] for line in lines(capsys)]
    assert found == [text_of_training(digits_export, spoken) for spoken in heard]
    errors = sum(word_edits(spoken.text, text).errors for spoken, text in zip(heard, found, strict=True))
    assert errors < 0.5 * sum(len(spoken.text.split()) for spoken in heard)


def test_long_audio_in_chunks_is_that_of_the_whole(digits_export: Path, heard: list[Spoken]) -> None:
    """All recordings one after another, in chunks that cut through words, give the same numbers as at once."""
    long_N = np.concatenate([spoken.samples_N for spoken in heard])
    assert len(long_N) > 60 * RATE_HZ
    whole_TV = Recogniser.load(digits_export, chunk_s=10_000).log_probs(long_N)
    for chunk_s in (0.5, 3.3, 30.0):
        parts_TV = Recogniser.load(digits_export, chunk_s=chunk_s).log_probs(long_N)
        np.testing.assert_allclose(parts_TV, whole_TV, atol=1e-4)


def test_recordings_of_a_telephone_are_those_of_preprocessing(
    digits_export: Path, heard: list[Spoken], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """8 kHz, and what the pipeline's stage makes of it at 16 kHz: mostly the same text, and as many errors.

    The model was trained for seconds, on audio that soxr had brought up from 8 kHz, so the noise above 4 kHz tells.
    """
    expected = []
    for i, spoken in enumerate(heard):
        low_N = soxr.resample(spoken.samples_N, RATE_HZ, RATE_HZ // 2)
        soundfile.write(tmp_path / f"{i:02d}.wav", low_N, RATE_HZ // 2)
        samples_N, rate_hz, _ = decode(tmp_path / f"{i:02d}.wav", None, None)
        prepared_N = to_int16(to_rate(samples_N, rate_hz, RATE_HZ)).astype(np.float32) / 32768
        expected.append(text_of_training(digits_export, Spoken(spoken.text, prepared_N)))
    assert main(["transcribe", str(digits_export), str(tmp_path)]) == 0
    found = [line.split("\t")[1] for line in lines(capsys)]
    assert np.mean([a == b for a, b in zip(found, expected, strict=True)]) > 0.7
    rates = [
        sum(word_edits(spoken.text, text).errors for spoken, text in zip(heard, texts, strict=True))
        / sum(len(spoken.text.split()) for spoken in heard)
        for texts in (found, expected)
    ]
    assert rates[0] == pytest.approx(rates[1], abs=0.05)


def test_json_has_words_with_their_times(
    digits_export: Path, heard: list[Spoken], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoken = heard[0]
    files = [write(tmp_path / "a.wav", spoken), write(tmp_path / "b.wav", spoken)]
    assert main(["transcribe", str(digits_export), *files, "--format", "json"]) == 0
    rows = [json.loads(line) for line in lines(capsys)]
    assert [row["file"] for row in rows] == files
    words = rows[0]["words"]
    assert " ".join(word["text"] for word in words) == rows[0]["text"] != ""
    times = [time for word in words for time in (word["start_s"], word["end_s"])]
    assert times == sorted(times)
    assert times[-1] <= rows[0]["duration_s"] == round(len(spoken.samples_N) / RATE_HZ, 3)
    assert all(0 < word["confidence"] <= 1 for word in words)


def test_silence_moves_the_times(digits_export: Path, heard: list[Spoken], tmp_path: Path) -> None:
    """Two seconds before the words, and their times are two seconds later."""
    quiet = np.random.default_rng(0).normal(0, 1e-4, 2 * RATE_HZ).astype(np.float32)
    outputs = []
    for name, samples_N in (("plain", heard[0].samples_N), ("late", np.concatenate([quiet, heard[0].samples_N]))):
        file = write(tmp_path / f"{name}.wav", Spoken("", samples_N))
        assert main(["transcribe", str(digits_export), file, "--format", "json", "--out", str(tmp_path)]) == 0
        outputs.append(json.loads((tmp_path / f"{name}.json").read_text()))
    plain, late = ({word["text"]: word["start_s"] for word in output["words"][-1:]} for output in outputs)
    ((word, start_s),) = plain.items()
    assert late[word] == pytest.approx(start_s + 2, abs=0.081)


def test_raw_samples_on_standard_input(
    digits_export: Path, heard: list[Spoken], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    samples = np.round(heard[1].samples_N * 32768).astype("<i2")
    soundfile.write(tmp_path / "a.wav", samples, RATE_HZ)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(samples.tobytes())))
    assert main(["transcribe", str(digits_export), "-", "--rate", str(RATE_HZ)]) == 0
    assert main(["transcribe", str(digits_export), str(tmp_path / "a.wav")]) == 0
    raw, file = lines(capsys)
    assert raw == file != ""


def test_subtitles(digits_export: Path, heard: list[Spoken], tmp_path: Path) -> None:
    long_N = np.concatenate([spoken.samples_N for spoken in heard])
    file = write(tmp_path / "talk.wav", Spoken("", long_N))
    for form in ("srt", "vtt", "text"):
        assert main(["transcribe", str(digits_export), file, "--format", form, "--out", str(tmp_path / "out")]) == 0
    srt, vtt, text = ((tmp_path / "out" / f"talk.{end}").read_text() for end in ("srt", "vtt", "txt"))
    cues = srt.strip().split("\n\n")
    assert [cue.split("\n")[0] for cue in cues] == [str(i) for i in range(1, len(cues) + 1)]
    assert " ".join(" ".join(cue.split("\n")[2:]) for cue in cues) == text.strip()
    assert all(len(line) <= 42 for cue in cues for line in cue.split("\n")[2:])
    assert vtt.startswith("WEBVTT\n\n00:00:0")
    assert vtt.count(" --> ") == len(cues)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "a.wav"], "export.json is missing"),
        (["EXPORT", "nothing.wav"], "no such file"),
        (["EXPORT", "empty"], "holds no audio"),
        (["EXPORT", "bad.wav"], "cannot be read"),
        (["EXPORT", "bad.wav", "--form", "int8"], "holds model.onnx"),
        (["EXPORT", "bad.wav", "--words", "w"], "--beam 16"),
        (["EXPORT", "bad.wav", "--beam", "4", "--words", "w"], "one word a line"),
        (["EXPORT", "bad.wav", "bad.wav", "--format", "srt"], "--out"),
        (["EXPORT", "bad.wav", "--stream"], "causal: true"),
        (["EXPORT", "bad.wav", "--stream", "--beam", "2"], "leave out"),
        (["EXPORT", "bad.wav", "--hotwords", "names"], "names: no such file, where a list with one phrase a line"),
        (["EXPORT", "bad.wav", "--hotwords", "names.txt"], "names.txt:2: 'Quack' cannot be spelled"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    digits_export: Path, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str], arguments, message
) -> None:
    (tmp_path / "bad.wav").write_bytes(b"RIFFnothing")
    (tmp_path / "names.txt").write_text("nine\nQuack\n")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    found = main(["transcribe", *(str(digits_export) if a == "EXPORT" else a for a in arguments)])
    captured = capsys.readouterr()
    assert found == 2
    assert message in captured.err
    assert len(captured.err.splitlines()) == 1


def test_the_program_kd_hands_over(digits_export: Path, heard: list[Spoken], tmp_path: Path, capfd) -> None:
    file = write(tmp_path / "a.wav", heard[2])
    assert CliRunner().invoke(app, ["transcribe", str(digits_export), file, "--format", "json"]).exit_code == 0
    assert CliRunner().invoke(app, ["transcribe", "nowhere", file]).exit_code == 2
    assert "--lm-weight" in CliRunner().invoke(app, ["transcribe", "--help"]).output


def test_runs_where_nothing_but_its_three_packages_is(digits_export: Path, heard: list[Spoken], tmp_path: Path) -> None:
    """A Python without site-packages, that finds kd and links to just those packages."""
    packages = tmp_path / "packages"
    packages.mkdir()
    site = Path(sysconfig.get_paths()["purelib"])
    installed = what_pip_installs(PACKAGES)
    for name in installed:
        (packages / name).symlink_to(site / name)
    (packages / "kd").symlink_to(REPO / "kd")
    file = write(tmp_path / "a.wav", heard[3])
    code = (
        "import sys; sys.path.append(sys.argv[1])\n"
        "from kd.runtime.program import main\n"
        "code = main(sys.argv[2:])\n"
        "tops = {name.split('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)\n"
        "print(code, *sorted(name for name in tops if not name.startswith('__')))\n"
        "print(*(name for name in sys.modules if name.startswith('kd.')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(packages), "transcribe", str(digits_export), file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    text, rest, modules = done.stdout.splitlines()
    assert text == text_of_training(digits_export, heard[3])
    assert rest.split()[0] == "0"
    assert all(module.startswith("kd.runtime") for module in modules.split())
    assert set(rest.split()[1:]) <= {"kd", *(name.split(".")[0] for name in installed)}


def test_a_file_with_the_front_end_within_gives_the_same(
    digits_export: Path, heard: list[Spoken], tmp_path: Path
) -> None:
    paths = Paths(digits_export.parents[1])
    params = Params.model_construct(export=ExportParams(frontend_included=True, forms=("float32",)))
    (tmp_path / "models").symlink_to(paths.root / "models")
    export.run(params, Paths(tmp_path), digits_export.name)
    folder = Paths(tmp_path).export(digits_export.name)
    assert onnx.load(folder / "model.onnx").graph.input[0].name == "audio"
    long_N = np.concatenate([spoken.samples_N for spoken in heard[:8]])
    for chunk_s in (2.0, 100.0):
        found_TV = Recogniser.load(folder, chunk_s=chunk_s).log_probs(long_N)
        expected_TV = Recogniser.load(digits_export, chunk_s=100.0).log_probs(long_N)
        np.testing.assert_allclose(found_TV, expected_TV, atol=2e-3)


@pytest.mark.parametrize("encoder", ["patch_cnn", "conformer"])
def test_a_keyword_model_gives_its_label(
    encoder: str, heard: list[Spoken], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint, paths = checkpoint_of(encoder, "keyword"), Paths(tmp_path)
    save_checkpoint(paths.model("tiny"), checkpoint)
    export.run(Params.model_construct(export=ExportParams(forms=("float32",))), paths, "tiny")
    file = write(tmp_path / "a.wav", heard[0])
    assert main(["transcribe", str(paths.export("tiny")), file, "--format", "json"]) == 0
    (word,) = json.loads(capsys.readouterr().out)["words"]
    samples_1N, lengths_1 = torch.from_numpy(heard[0].samples_N)[None], torch.tensor([len(heard[0].samples_N)])
    with torch.no_grad():
        logits_BTV, _ = checkpoint.model.eval()(*make_front_end(checkpoint.frontend)(samples_1N, lengths_1))
    best = int(logits_BTV[0, 0].argmax())
    assert word["text"] == checkpoint.vocabulary.tokens[best]
    assert word["confidence"] == pytest.approx(float(logits_BTV[0, 0].softmax(0)[best]), abs=1e-3)
    assert main(["spot", str(paths.export("tiny")), file, "--keywords", "none.txt"]) == 2
    assert "transcription model" in capsys.readouterr().err
