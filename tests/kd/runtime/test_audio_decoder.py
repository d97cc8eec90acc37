"""Recordings whose header, level or channels are not what they seem; each format cut and patched."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kd.runtime import audio
from kd.runtime.audio_decoder import KEPT_SAMPLES, Recording
from kd.runtime.errors import AudioError

RATE = 16_000
FORMATS = {
    "wav": {},
    "float.wav": {"subtype": "FLOAT"},
    "flac": {},
    "aiff": {},
    "au": {},
    "w64": {},
    "caf": {},
    "ogg": {},
    "opus": {"format": "OGG", "subtype": "OPUS"},
    "mp3": {},
}
CANNOT_TELL = ("caf",)  # libsndfile opens none that is cut


def noise(seconds: float, channels: int = 1, level: float = 0.1) -> np.ndarray:
    return (level * np.random.default_rng(0).standard_normal((round(seconds * RATE), channels))).astype(np.float32)


def write(file: Path, samples: np.ndarray, kind: str = "wav") -> Path:
    soundfile.write(file, samples, RATE, **FORMATS[kind])
    return file


def flac_that_says(file: Path, samples: np.ndarray, total: int) -> Path:
    data = bytearray(write(file, samples, "flac").read_bytes())
    data[21] = data[21] & 0xF0 | total >> 32
    data[22:26] = (total & 0xFFFFFFFF).to_bytes(4, "big")
    file.write_bytes(data)
    return file


def whole(file: Path) -> np.ndarray:
    return np.concatenate(list(Recording.open(file).mono()))


@pytest.mark.parametrize("says", [0, 1_000])
def test_a_flac_is_read_until_its_end_whatever_its_header_says(tmp_path: Path, says: int) -> None:
    samples = noise(1.5)
    expected = whole(write(tmp_path / "true.flac", samples, "flac"))
    file = flac_that_says(tmp_path / "lies.flac", samples, says)
    recording = Recording.open(file)
    np.testing.assert_array_equal(np.concatenate(list(recording.mono())), expected)
    assert recording.duration_s == 1.5
    assert recording.short is None
    assert any("its header says 1000 samples" in remark.text for remark in recording.remarks) == (says == 1_000)
    np.testing.assert_array_equal(audio.read(file, RATE, 0.5, 1.0), expected[8_000:16_000])


def test_a_flac_that_promises_more_is_short(tmp_path: Path) -> None:
    recording = Recording.open(flac_that_says(tmp_path / "more.flac", noise(1.0), 10**9))
    assert recording.num_samples == RATE
    assert recording.short == "only 16000 of 1000000000 samples can be read: is it cut off?"


@pytest.mark.parametrize("size", [0, 999, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_wav_is_read_until_its_end_whatever_its_header_says(tmp_path: Path, size: int) -> None:
    file = write(tmp_path / "a.wav", noise(1.0))
    expected, data = whole(file), bytearray(file.read_bytes())
    data[40:44] = size.to_bytes(4, "little")
    file.write_bytes(data)
    recording = Recording.open(file)
    np.testing.assert_array_equal(np.concatenate(list(recording.mono())), expected)
    assert recording.short is None


def test_chunks_after_the_samples_are_no_sound(tmp_path: Path) -> None:
    for seconds in (1.0, 0.0):
        file = write(tmp_path / "a.wav", noise(seconds))
        file.write_bytes(file.read_bytes() + b"LIST\x04\0\0\0INFO")
        if seconds:
            assert (Recording.open(file).num_samples, Recording.open(file).remarks) == (RATE, ())
        else:
            with pytest.raises(AudioError, match="holds no samples"):
                Recording.open(file)


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind not in CANNOT_TELL])
def test_what_is_cut_off_is_said_and_what_is_there_is_read(tmp_path: Path, kind: str) -> None:
    file = write(tmp_path / f"a.{kind}", noise(3.0), kind)
    assert Recording.open(file).short is None
    data = file.read_bytes()
    file.write_bytes(data[: len(data) * 2 // 3])
    recording = Recording.open(file)
    assert recording.short is not None
    assert "is it" in recording.short
    assert 0.5 < recording.duration_s < 2.5  # pages of Ogg last a second


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg"])
def test_a_stretch_is_that_of_the_whole(tmp_path: Path, kind: str) -> None:
    file = write(tmp_path / f"a.{kind}", noise(3.0), kind)
    np.testing.assert_allclose(audio.read(file, RATE, 1.0, 2.5), audio.read(file, RATE)[16_000:40_000], atol=1e-4)


@pytest.mark.parametrize(
    ("start", "end", "detail"),
    [
        (0.5, 3.0, "0.5 to 3 s is no stretch of a recording which has sound until 1.000 s: correct its times"),
        (0.8, 0.2, "0.8 to 0.2 s is no stretch of a recording: start at 0 s or later, and end behind it"),
        (float("nan"), 1.0, "nan to 1 s are no two numbers: give both in seconds"),
        (-1.0, 0.5, "-1 to 0.5 s is no stretch of a recording: start at 0 s or later, and end behind it"),
        (0.0, 1e300, "0 to 1e+300 s is no stretch of a recording which has sound until 1.000 s: correct its times"),
        (0.5, 0.50001, "0.5 to 0.50001 s holds no sample at 16000 Hz: lengthen the stretch"),
    ],
)
def test_what_is_no_stretch_is_refused(tmp_path: Path, start: float, end: float, detail: str) -> None:
    with pytest.raises(AudioError) as caught:
        Recording.open(write(tmp_path / "a.wav", noise(1.0)), start, end)
    assert (caught.value.fault, caught.value.detail) == ("stretch", detail)


def test_an_offset_does_not_count_as_level(tmp_path: Path) -> None:
    speech = noise(1.0, level=0.01)
    plain, moved = write(tmp_path / "a.wav", speech, "float.wav"), write(tmp_path / "b.wav", speech + 0.5, "float.wav")
    recording = Recording.open(moved)
    levelled = np.concatenate(list(audio.blocks(recording, RATE, -23.0)))
    expected = np.concatenate(list(audio.blocks(Recording.open(plain), RATE, -23.0)))
    assert recording.remarks == (("offset", "an offset of +0.50 of full scale is taken away"),)
    assert 20 * np.log10(np.sqrt(np.mean(levelled**2))) == pytest.approx(-23.0, abs=0.01)
    np.testing.assert_allclose(levelled, expected, atol=2e-4)
    np.testing.assert_allclose(audio.read(moved, RATE), audio.read(plain, RATE), atol=2e-4)


def test_channels_that_cancel_leave_the_louder_one(tmp_path: Path) -> None:
    left = noise(1.0)
    recording = Recording.open(write(tmp_path / "a.wav", np.hstack([0.95 * left, -left])))
    np.testing.assert_allclose(np.concatenate(list(recording.mono())), -left[:, 0], atol=1e-4)
    assert recording.remarks == (("channels", "its 2 channels cancel each other out: channel 2 is taken alone"),)
    for fine in (np.hstack([left, left]), np.hstack([left, 0 * left]), noise(1.0, channels=8), 0 * noise(1.0, 2)):
        other = Recording.open(write(tmp_path / "b.wav", fine))
        assert (other.channel, other.remarks) == (None, ())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_no_number_is_refused_with_its_place(tmp_path: Path, value: float) -> None:
    samples = noise(1.0)
    samples[12_000] = value
    with pytest.raises(AudioError, match=r"a\.wav: sample 12000 \(0\.750 s\) is infinite or no number"):
        Recording.open(write(tmp_path / "a.wav", samples, "float.wav"))


@pytest.mark.parametrize("value", [2.1e34, -3.4e38, 1e10])
def test_a_number_that_no_sound_has_is_refused_with_its_place(tmp_path: Path, value: float) -> None:
    """Squares, means and filters of such numbers overflow."""
    samples = noise(1.0, channels=2)
    samples[12_000, 1] = value
    with pytest.raises(AudioError, match=rf"a\.wav: sample 12000 \(0\.750 s\) is {re.escape(f'{value:.3g}')}"):
        Recording.open(write(tmp_path / "a.wav", samples, "float.wav"))


@pytest.mark.parametrize("scale", [2.0**15, 2.0**31])
def test_float_samples_on_the_scale_of_integers_are_clipped(tmp_path: Path, scale: float) -> None:
    file = write(tmp_path / "a.wav", np.sign(noise(1.0)) * np.float32(scale), "float.wav")
    samples_N = np.concatenate(list(audio.blocks(Recording.open(file), RATE)))
    assert set(np.abs(samples_N)) <= {np.float32(1), np.float32(32767 / 32768)}


def test_long_and_short_recordings_become_the_same_samples(tmp_path: Path) -> None:
    """Beyond KEPT_SAMPLES a file is decoded twice."""
    channels = 64
    file = write(tmp_path / "a.wav", noise(1.1 * KEPT_SAMPLES / channels / RATE, channels), "float.wav")
    expected = soundfile.read(file, dtype="float32")[0].mean(axis=1, dtype=np.float32)
    assert Recording.open(file)._kept is None
    np.testing.assert_array_equal(whole(file), expected)


@pytest.mark.parametrize("rate_hz", [1, 2**31 - 1])
def test_rates_that_make_no_sense_are_refused(tmp_path: Path, rate_hz: int) -> None:
    file = write(tmp_path / "a.wav", noise(0.1))
    data = bytearray(file.read_bytes())
    data[24:28] = rate_hz.to_bytes(4, "little")
    file.write_bytes(data)
    with pytest.raises(AudioError, match=f"its header says {rate_hz} Hz"):
        Recording.open(file)


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "dead.wav").symlink_to("nowhere")
    (tmp_path / "zero.wav").write_bytes(b"")
    (tmp_path / "lfs.wav").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    for name, fault, message in (
        ("folder.wav", "unreadable", "a folder"),
        ("dead.wav", "missing", "leads nowhere"),
        ("zero.wav", "empty", "no bytes"),
        ("lfs.wav", "unreadable", "git lfs pull"),
    ):
        with pytest.raises(AudioError, match=message) as caught:
            Recording.open(tmp_path / name)
        assert caught.value.fault == fault


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(list(FORMATS)),
    patches=st.lists(st.tuples(st.integers(0, 120), st.binary(min_size=1, max_size=5)), max_size=3),
    share=st.one_of(st.just(1.0), st.floats(0, 1)),
)
@example(kind="float.wav", patches=[(90, b"\x00y")], share=1.0)  # a sample of 1e34
def test_any_damage_is_an_error_with_the_files_name_or_finite_sound(
    tmp_path: Path, kind: str, patches: list[tuple[int, bytes]], share: float
) -> None:
    sound = tmp_path / f"sound.{kind}"
    if not sound.exists():
        write(sound, noise(0.3, channels=2), kind)
    data = bytearray(sound.read_bytes())
    for place, new in patches:
        data[place : place + len(new)] = new
    file = tmp_path / f"damaged.{kind}"
    file.write_bytes(data[: round(share * len(data))])
    for stretch in ({}, {"start_s": 0.1, "end_s": 0.2}):
        refused = None
        try:
            recording = Recording.open(file, **stretch)
            samples_N = np.concatenate(list(audio.blocks(recording, RATE)))
        except AudioError as error:
            refused = str(error)
        if refused is not None:
            assert refused.startswith(f"{file}: ")
            assert "\n" not in refused
            continue
        assert np.isfinite(samples_N).all()
        assert np.abs(samples_N).max(initial=0) <= 1
        assert abs(len(samples_N) / RATE - recording.duration_s) < 1e-3 + recording.duration_s * 1e-4
