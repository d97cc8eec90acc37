"""Streams through exported files: the same as the whole, whatever pieces the audio comes in, and as soon as said."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import soxr
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from spoken_digits import RATE_HZ, Spoken

from kd.config.frontend import FrontEndSettings
from kd.config.models import EncoderSettings, ModelSettings
from kd.models import build
from kd.runtime.biased_greedy import BiasedGreedy
from kd.runtime.bundle import Bundle
from kd.runtime.greedy import Greedy
from kd.runtime.hotwords import Hotword, Hotwords
from kd.runtime.live import Live
from kd.runtime.program import main
from kd.runtime.recogniser import LogProbs, Recogniser
from kd.runtime.stream import Stream
from kd.runtime.words import to_words
from kd.text.vocabulary import Vocabulary
from tasks.checkpoint import Checkpoint, save_checkpoint
from tasks.params.pipeline import ExportParams, Params
from tasks.runner.paths import Paths
from tasks.stages import export

FRONTEND = FrontEndSettings(num_mels=16)
SMALL = {"stem": 4, "width": 8, "layers": 2, "causal": True}
ENCODERS = {
    "cnn": {"family": "cnn", **SMALL, "hidden": 6, "kernel": 5},
    "cnn by 2": {"family": "cnn", **SMALL, "hidden": 6, "kernel": 1, "subsampling": 2},
    "gru": {"family": "rnn", **SMALL, "bidirectional": False, "hidden": [6, 5]},
    "lstm by 1": {"family": "rnn", **SMALL, "cell": "lstm", "bidirectional": False, "hidden": 6, "subsampling": 1},
    "conformer": {
        "family": "conformer", **SMALL, "chunk_frames": 4, "left_chunks": 2, "heads": 2, "head_dim": 4,
        "feed_forward_1": 6, "feed_forward_2": 6, "channels": 6, "kernel": 5,
    },
}  # fmt: skip


@pytest.fixture(scope="module", params=ENCODERS)
def small_export(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export with random weights of each causal family."""
    torch.manual_seed(2)
    encoder = TypeAdapter(EncoderSettings).validate_python(ENCODERS[request.param])
    vocabulary, paths = Vocabulary.characters("abc '"), Paths(tmp_path_factory.mktemp("small"))
    model = build(ModelSettings(problem="transcription", num_features=16, num_outputs=len(vocabulary), encoder=encoder))
    model.set_statistics(torch.linspace(-9, -4, 16), torch.full((16,), 3.0))
    save_checkpoint(paths.model("tiny"), Checkpoint(model, FRONTEND, vocabulary, "student", "random", "labels"))
    export.run(Params.model_construct(export=ExportParams(forms=("float32",))), paths, "tiny")
    return paths.export("tiny")


def sound(num_samples: int) -> np.ndarray:
    rng = np.random.default_rng(num_samples)
    return (rng.standard_normal(num_samples) * 0.05 * (1 + np.sin(np.arange(num_samples) / 900))).astype(np.float32)


def streamed(folder: Path, samples_N: np.ndarray, sizes: list[int]) -> LogProbs:
    """In pieces of these sizes, the last of which goes on until nothing is left."""
    stream, first, found = Stream(Bundle.load(folder)), 0, []
    for size in [*sizes, *[sizes[-1]] * (len(samples_N) // sizes[-1] + 1)]:
        found.append(stream.push(samples_N[first : first + size]))
        first += size
    found.append(stream.push(samples_N[:0], last=True))
    return np.concatenate(found)


def test_a_stream_equals_the_whole(small_export: Path) -> None:
    """The file that streams against the one that takes all at once, over random pieces and lengths."""
    recogniser = Recogniser.load(small_export)

    @settings(max_examples=25, deadline=None)
    @given(num_samples=st.integers(1, 20_000), sizes=st.lists(st.integers(40, 4_000), min_size=1, max_size=5))
    def check(num_samples: int, sizes: list[int]) -> None:
        samples_N = sound(num_samples)
        found_TV, expected_TV = streamed(small_export, samples_N, sizes), recogniser.log_probs(samples_N)
        assert found_TV.shape == expected_TV.shape
        np.testing.assert_allclose(found_TV, expected_TV, atol=1e-4)

    check()


def test_words_of_a_stream_with_hotwords_are_those_of_the_whole(small_export: Path) -> None:
    bundle = Bundle.load(small_export)
    hotwords = Hotwords([Hotword(text, 9.0) for text in ("cab", "a", "ca b", "b'a")], bundle.tokens)
    changed = []

    @settings(max_examples=25, deadline=None)
    @given(num_samples=st.integers(1, 20_000), sizes=st.lists(st.integers(400, 8_000), min_size=1, max_size=5))
    def check(num_samples: int, sizes: list[int]) -> None:
        samples_N = sound(num_samples)
        live, found, first = Live(Stream(bundle), hotwords), [], 0
        for size in [*sizes, *[sizes[-1]] * (num_samples // sizes[-1] + 1)]:
            found += live.push(samples_N[first : first + size])
            first += size
        found += live.push(samples_N[:0], last=True)
        log_probs_TV = streamed(small_export, samples_N, sizes)
        search, plain = BiasedGreedy(bundle.tokens, hotwords), Greedy()
        search.push(log_probs_TV)
        plain.push(log_probs_TV)
        assert found == to_words(search.units(), bundle.tokens, bundle.step_s)
        changed.append(search.units() != plain.units())

    check()
    assert any(changed), "hotwords changed nothing: nothing was shown"


def test_the_delay_is_as_stated(small_export: Path) -> None:
    """Sample by sample at the ends of shifts: from a block's last middle to the output of the next block."""
    stated_ms = json.loads((small_export / "export.json").read_text())["streaming"]["latency_ms"]
    bundle = Bundle.load(small_export)
    stream, samples_N, step = Stream(bundle), sound(16_000), 40
    came_at, frames = [], 0
    for first in range(0, len(samples_N), step):
        new = len(stream.push(samples_N[first : first + step]))
        came_at += [first + step] * new
        frames += new
    middle = bundle.subsampling * bundle.frontend.shift * np.arange(frames) + bundle.frontend.shift / 2
    waits_ms = (np.array(came_at)[1:] - middle[:-1]) / RATE_HZ * 1000
    assert frames > 20
    assert waits_ms.max() == pytest.approx(stated_ms, abs=1000 * step / RATE_HZ)


def test_long_audio_in_chunks_is_that_of_the_whole(small_export: Path) -> None:
    """Exactly where a frame's receptive field is known; a recurrent layer has forgotten what was 5 s ago."""
    samples_N = sound(20 * RATE_HZ)
    recogniser = Recogniser.load(small_export, chunk_s=1.7)
    whole_TV = Recogniser.load(small_export, chunk_s=1000.0).log_probs(samples_N)
    known = recogniser.bundle.receptive_field_frames is not None
    np.testing.assert_allclose(recogniser.log_probs(samples_N), whole_TV, atol=1e-4 if known else 1e-3)


def test_what_export_json_says(small_export: Path) -> None:
    said = json.loads((small_export / "export.json").read_text())["streaming"]
    assert said["file"] == "streaming.onnx"
    assert said["size_bytes"] == (small_export / "streaming.onnx").stat().st_size
    assert 0 < said["max_abs_difference"] <= 1e-4


def test_a_trained_model_streams_the_words_that_it_hears_at_once(
    causal_export: Path, heard: list[Spoken], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i, spoken in enumerate(heard):
        soundfile.write(tmp_path / f"{i:02d}.wav", spoken.samples_N, RATE_HZ)
    assert main(["transcribe", str(causal_export), str(tmp_path)]) == 0
    whole = [line.split("\t")[1] for line in capsys.readouterr().out.splitlines()]
    assert main(["transcribe", str(causal_export), str(tmp_path), "--stream"]) == 0
    assert [line.strip() for line in capsys.readouterr().out.splitlines()] == whole
    assert sum(spoken.text == text for spoken, text in zip(heard, whole, strict=True)) > 0.1 * len(heard)


def test_a_stream_on_standard_input(
    causal_export: Path, heard: list[Spoken], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Raw samples at twice the model's rate; a line a word, each said when it was over."""
    doubled_N = soxr.resample(np.concatenate([spoken.samples_N for spoken in heard[:4]]), RATE_HZ, 2 * RATE_HZ)
    raw = np.round(doubled_N * 32768).clip(-32768, 32767).astype("<i2").tobytes()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(raw)))
    assert (
        main(["transcribe", str(causal_export), "-", "--rate", str(2 * RATE_HZ), "--stream", "--format", "json"]) == 0
    )
    words = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(words) > 4
    assert all(word["end_s"] <= word["heard_s"] + 0.05 for word in words)
    assert words[0]["heard_s"] < words[-1]["heard_s"] <= len(doubled_N) / RATE_HZ / 2 + 0.001


def test_words_come_while_the_audio_does(causal_export: Path, heard: list[Spoken]) -> None:
    """Two words with a second of silence behind each: the first comes before the second is spoken."""
    gap_N = np.zeros(RATE_HZ, np.float32)
    spoken_N = heard[0].samples_N
    live = Live(Stream(Bundle.load(causal_export)))
    first = live.push(spoken_N) + live.push(gap_N)
    second = live.push(spoken_N) + live.push(gap_N)
    rest = live.push(gap_N[:0], last=True)
    assert len(first) >= 1
    assert len(second) >= 1
    assert rest == []
    assert second[0].start_s > first[-1].end_s


def test_a_file_that_is_not_causal_says_so(digits_export: Path) -> None:
    assert json.loads((digits_export / "export.json").read_text())["streaming"] is None
    assert not (digits_export / "streaming.onnx").exists()
