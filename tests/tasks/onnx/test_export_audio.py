"""audio.onnx in the real sherpa-onnx, as its omnilingual type, against `kd transcribe`."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sherpa_onnx
import torch
from exportable import checkpoint_of
from wav2vec2_oracle import oracle, write_transformers

from kd.config.frontend import FrontEndSettings
from kd.config.models import ModelSettings
from kd.config.propagation import PruneUnits
from kd.models import build
from kd.models.macs import count_params
from kd.propagation import Propagated, propagate
from kd.runtime.frontend import Samples
from kd.runtime.greedy import Greedy
from kd.runtime.recogniser import Recogniser
from kd.runtime.session import open_session
from kd.runtime.words import to_words
from kd.text.vocabulary import Vocabulary
from tasks.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tasks.onnx.export_audio import export_audio
from tasks.onnx.float32 import write_float32
from tasks.pretrained.encoder_weights import with_encoder_weights, with_head
from tasks.pretrained.wav2vec2 import read_wav2vec2
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


def quarter_of(kind: str, folder: Path) -> Checkpoint:
    """A random model of transformers with its own head, pruned to a quarter of its parameters, saved and read again."""
    pytest.importorskip("transformers", reason="make test installs it (requirements-test.lock)")
    weights = read_wav2vec2(write_transformers(oracle(kind), folder / kind))
    vocabulary = Vocabulary.characters("enowtrhu '")
    sizes = {"num_features": 1, "num_outputs": len(vocabulary), "normalised": True}
    whole = {"problem": "transcription", "encoder": weights.settings(), **sizes}
    model = build(ModelSettings.model_validate(whole))
    model.load_state_dict(with_head(with_encoder_weights(model.state_dict(), weights), weights, vocabulary.tokens))
    dims = ("width", "channels", "heads", "feed_forward")
    prune = PruneUnits.model_validate({"op": "prune_units", "dims": dims, "sparsity": 0.6, "scope": "layer"})
    smaller = propagate(Propagated(model.eval()), [prune]).model
    assert count_params(smaller)[0] <= 0.25 * count_params(model)[0]
    samples_1N1 = torch.from_numpy(tones(99))[None, :, None]
    lengths_1 = torch.tensor([samples_1N1.shape[1]])
    with torch.no_grad():  # a head that says now this, now that
        x_1TD, _ = smaller.encoder(smaller.scaled(samples_1N1, lengths_1), lengths_1)
        smaller.head.bias.copy_(-(smaller.head.weight @ x_1TD[0].mean(0)))
    made = Checkpoint(smaller, FrontEndSettings(kind="waveform"), vocabulary, "student", "teacher", "labels")
    save_checkpoint(folder / "quarter", made)
    return load_checkpoint(folder / "quarter")


@pytest.mark.parametrize("kind", ["whisper", "wav2vec2 group", "hubert layer", "wavlm"])
def test_sherpa_writes_what_the_prompt_writes(kind: str, tmp_path: Path) -> None:
    """Its text is that of the file's posteriors of scaled audio, and these are those of the prompt."""
    checkpoint = whisper_like() if kind == "whisper" else quarter_of(kind, tmp_path)
    bundle = write_float32(checkpoint, tmp_path)
    session = open_session(export_audio(checkpoint, tmp_path))
    (tmp_path / "tokens.txt").write_text(tokens_table(checkpoint.vocabulary), encoding="utf-8")
    sherpa = sherpa_onnx.OfflineRecognizer.from_omnilingual_asr_ctc(
        model=str(tmp_path / "audio.onnx"), tokens=str(tmp_path / "tokens.txt"), num_threads=1
    )
    recogniser = Recogniser(bundle, bundle.session("model.onnx", 1))
    texts = set()
    for seed in range(20):
        samples_N = tones(seed)
        scaled_N = (samples_N - samples_N.mean()) / np.sqrt(samples_N.var() + 1e-5)
        (log_probs_1TV,) = session.run(None, {"audio": scaled_N[None].astype(np.float32)})
        np.testing.assert_allclose(log_probs_1TV[0], recogniser.log_probs(samples_N), atol=5e-3, rtol=2e-3)
        search = Greedy()
        search.push(log_probs_1TV[0])
        stream = sherpa.create_stream()
        stream.accept_waveform(RATE_HZ, samples_N)
        sherpa.decode_stream(stream)
        expected = " ".join(word.text for word in to_words(search.units(), bundle.tokens, bundle.step_s))
        assert " ".join(stream.result.text.split()) == expected
        texts.add(expected)
    assert len(texts) > 5, "it says the same of everything"


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
