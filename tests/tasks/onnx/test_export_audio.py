"""audio.onnx in the real sherpa-onnx, as its omnilingual type, against `kd transcribe`."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sherpa_onnx
import torch
from exportable import checkpoint_of

from kd.config.frontend import FrontEndSettings
from kd.models import build
from kd.runtime.frontend import Samples
from kd.runtime.greedy import Greedy
from kd.runtime.recogniser import Recogniser
from kd.runtime.session import open_session
from kd.runtime.words import to_words
from tasks.checkpoint import Checkpoint
from tasks.onnx.export_audio import export_audio
from tasks.onnx.float32 import write_float32
from tasks.stages.export import tokens_table

RATE_HZ = 16_000


def whisper_like(problem: str = "transcription", peak: float | None = 1.2) -> Checkpoint:
    """Random weights whose output changes often, with Whisper's front end."""
    made = checkpoint_of("whisper", problem)
    settings = made.model.settings.model_copy(update={"num_features": 80, "dynamic_range": 2.0, "peak": peak})
    torch.manual_seed(4)
    model = build(settings).eval()
    with torch.no_grad():
        model.head.weight.mul_(10)
    return replace(made, model=model, frontend=FrontEndSettings(kind="whisper"))


def test_sherpa_writes_what_the_prompt_writes(tmp_path: Path) -> None:
    """Its text is that of the file's posteriors of scaled audio, and these are those of the prompt."""
    checkpoint = whisper_like()
    bundle = write_float32(checkpoint, tmp_path)
    session = open_session(export_audio(checkpoint, tmp_path))
    (tmp_path / "tokens.txt").write_text(tokens_table(checkpoint.vocabulary), encoding="utf-8")
    sherpa = sherpa_onnx.OfflineRecognizer.from_omnilingual_asr_ctc(
        model=str(tmp_path / "audio.onnx"), tokens=str(tmp_path / "tokens.txt"), num_threads=1
    )
    recogniser = Recogniser(bundle, bundle.session("model.onnx", 1))
    for seed in range(20):
        samples_N = tones(seed)
        scaled_N = (samples_N - samples_N.mean()) / np.sqrt(samples_N.var() + 1e-5)
        (log_probs_1TV,) = session.run(None, {"audio": scaled_N[None].astype(np.float32)})
        np.testing.assert_allclose(log_probs_1TV[0], recogniser.log_probs(samples_N), atol=5e-3)
        search = Greedy()
        search.push(log_probs_1TV[0])
        stream = sherpa.create_stream()
        stream.accept_waveform(RATE_HZ, samples_N)
        sherpa.decode_stream(stream)
        expected = " ".join(word.text for word in to_words(search.units(), bundle.tokens, bundle.step_s))
        assert " ".join(stream.result.text.split()) == expected


def tones(seed: int) -> Samples:
    """A tone that changes ten times a second, at another loudness for each seed."""
    rng = np.random.default_rng(seed)
    tones_hz = np.repeat(rng.uniform(150, 5_000, rng.integers(3, 20)), RATE_HZ // 10)
    samples_N = np.sin(2 * np.pi * np.cumsum(tones_hz) / RATE_HZ) + 0.01 * rng.standard_normal(len(tones_hz))
    return (10 ** rng.uniform(-2, -0.5) * (samples_N - samples_N.mean())).astype(np.float32)


def test_what_sherpa_would_hear_otherwise_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"export\.audio_file: sherpa-onnx transcribes"):
        export_audio(whisper_like("keyword"), tmp_path)
    with pytest.raises(ValueError, match=r"export\.audio_file: sherpa-onnx scales its audio"):
        export_audio(whisper_like(peak=None), tmp_path)
