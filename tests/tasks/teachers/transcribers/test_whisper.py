"""Whisper on real recordings: what it transcribes, how confident it is, and what it makes up."""

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile
from clips import make_clip

from kd.config.filtering import FilterSettings
from kd.teachers.filtering import FilterInput, filter_hypothesis, range_db
from tasks.params.teachers import WhisperTeacher
from tasks.runner.reporter import NullReporter
from tasks.teachers.transcribers.whisper import Whisper

pytest.importorskip("faster_whisper", reason="faster-whisper is an extra: pip install faster-whisper")

MODEL = "whisper-tiny.en-ct2"
DIGITS = "zero one two three four five six seven eight nine"


def whisper(shared: Path, **knobs: object) -> Whisper:
    if not (shared / "models" / MODEL).is_dir():
        pytest.skip(f"no Whisper at {shared}/models/{MODEL}")
    settings = {"source": "whisper", "path": shared / "models" / MODEL, "beam": 1, "threads": 1, **knobs}
    return Whisper(WhisperTeacher.model_validate(settings), shared)


def recordings(folder: Path, chosen: list[str]) -> list[tuple[np.ndarray, int]]:
    return [soundfile.read(folder / name, dtype="float32") for name in chosen]


def digits(shared: Path, speaker: str, spoken: str, take: int) -> np.ndarray:
    """Single digits of fsdd, joined with pauses of 0.15 s."""
    parts = recordings(shared / "data" / "fsdd", [f"wav/{d}_{speaker}_{take}.wav" for d in spoken])
    return np.concatenate([np.concatenate([samples, np.zeros(1_200)]) for samples, _ in parts])


def test_it_transcribes_digits_with_a_prompt_of_digits_and_knows_its_confidence(shared: Path) -> None:
    clips = [make_clip("0189", digits(shared, "jackson", "0189", 12), 8_000)]
    clips += [make_clip("2384", digits(shared, "lucas", "2384", 12), 8_000)]
    found = dict(whisper(shared, initial_prompt=DIGITS).transcribe(clips, NullReporter()))
    assert [found[clip.id].texts[0][0] for clip in clips] == ["zero one eight nine", "two three eight four"]
    assert all((found[clip.id].confidence or 0) > 0.7 for clip in clips)
    assert all((found[clip.id].no_speech or 0) < 0.3 for clip in clips)


def test_what_it_makes_up_in_noise_is_caught(shared: Path) -> None:
    noise = np.random.default_rng(1).normal(0, 0.001, 48_000)
    transcriber = whisper(shared, initial_prompt=DIGITS)
    ((_, heard),) = transcriber.transcribe([make_clip("noise", noise)], NullReporter())
    raw = heard.texts[0][0]
    assert raw, "it hears words where there are none: that is what the filter is for"
    candidate = FilterInput(
        text=raw, raw=raw, seconds=3.0, frames=75, frames_needed=1, range_db=range_db(noise, 16_000),
        confidence=heard.confidence, no_speech=heard.no_speech,
    )  # fmt: skip
    for rule in ("no_sound", "no_speech"):
        off = {"no_sound": {"max_no_speech": None}, "no_speech": {"min_range_db": None}}[rule]
        drop = filter_hypothesis(candidate, FilterSettings.model_validate(off))
        assert drop is not None
        assert drop.reason == rule


def test_a_clip_under_a_second_is_not_given_to_it(shared: Path) -> None:
    short = make_clip("short", digits(shared, "theo", "7", 9), 8_000)
    transcriber = whisper(shared)
    assert short.seconds < 1
    ((_, heard),) = transcriber.transcribe([short], NullReporter())
    assert heard.texts == ()
    assert "below min_seconds 1" in (heard.refused or "")


def test_real_sentences_come_out_about_right(shared: Path) -> None:
    folder = shared / "data" / "speechocean762"
    rows = list(csv.DictReader((folder / "manifest.csv").read_text(encoding="utf-8").splitlines()))
    adults = [r for r in rows if int(r["age"]) > 20 and 2 < float(r["duration_s"]) < 4][::150][:3]
    clips = [
        make_clip(r["path"], samples, rate)
        for r, (samples, rate) in zip(adults, recordings(folder, [r["path"] for r in adults]), strict=True)
    ]
    found = dict(whisper(shared).transcribe(clips, NullReporter()))
    said = {word for r in adults for word in r["text"].lower().split()}
    heard = {word.strip(".,?!") for clip in clips for word in found[clip.id].texts[0][0].lower().split()}
    assert len(said & heard) > len(said) / 2


def test_its_identity_is_that_of_its_weights_and_of_what_it_is_told(shared: Path) -> None:
    plain, told, cores = whisper(shared), whisper(shared, initial_prompt=DIGITS), whisper(shared, threads=2)
    assert plain.identity != told.identity
    assert plain.identity == cores.identity


def test_a_name_of_the_hub_is_not_looked_for_unless_that_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    settings = WhisperTeacher(source="whisper", path=Path("models/none"), hub="nobody/has-this")
    with pytest.raises(ValueError, match=r"'nobody/has-this' cannot be loaded.*set HF_HUB_OFFLINE=0"):
        _ = Whisper(settings, tmp_path).model


def test_a_folder_that_holds_no_whisper_is_named(tmp_path: Path) -> None:
    settings = WhisperTeacher(source="whisper", path=Path("here"))
    with pytest.raises(ValueError, match=r"here holds no Whisper in CTranslate2's form: model\.bin is missing"):
        Whisper(settings, tmp_path)
    with pytest.raises(ValueError, match="give either a folder, or hub with path"):
        WhisperTeacher(source="whisper", path=Path("here"), hub="tiny.en")
