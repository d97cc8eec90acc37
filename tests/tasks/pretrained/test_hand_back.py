"""Handed back: transformers loads what was written, strictly, and computes the same; or the dimension is named."""

import json
from pathlib import Path

import pytest
import torch
from exportable import checkpoint_of as tiny
from wav2vec2_oracle import KINDS, oracle, waveform, write_transformers

from kd.config.frontend import FrontEndSettings
from kd.config.models import ModelSettings
from kd.models import Recogniser, build
from kd.propagation import apply
from kd.text.vocabulary import Vocabulary
from tasks.checkpoint import Checkpoint
from tasks.pretrained.encoder_weights import with_encoder_weights, with_head
from tasks.pretrained.hand_back import CLASSES, hand_back
from tasks.pretrained.wav2vec2 import read_wav2vec2

pytest.importorskip("transformers", reason="make test installs it (requirements-test.lock)")
VOCABULARY = Vocabulary.characters("enowtrhu '")


def checkpoint_of(kind: str, folder: Path, choice: dict[str, list[int]] | None = None, pooling: int = 1) -> Checkpoint:
    """Of a random model of transformers with its own head, and of that what a choice keeps."""
    weights = read_wav2vec2(write_transformers(oracle(kind), folder))
    sizes = {"problem": "transcription", "num_features": 1, "num_outputs": len(VOCABULARY), "normalised": True}
    model = build(ModelSettings.model_validate({**sizes, "encoder": weights.settings(pooling)}))
    model.load_state_dict(
        with_head(with_encoder_weights(model.state_dict(), weights), weights, VOCABULARY.tokens), strict=True
    )
    smaller = apply(model.eval(), {name: torch.tensor(kept) for name, kept in (choice or {}).items()})
    return Checkpoint(smaller, FrontEndSettings(kind="waveform"), VOCABULARY, "student", "teacher", "labels")


def assert_same(model: Recogniser, folder: Path) -> None:
    import transformers

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    made = getattr(transformers, CLASSES[config["model_type"]])
    theirs, told = made.from_pretrained(folder, output_loading_info=True)
    assert not told["missing_keys"]
    assert not told["unexpected_keys"]
    assert not told["mismatched_keys"]
    x_1N = waveform(5_000)
    with torch.no_grad():
        found, expected = model(x_1N[..., None], torch.tensor([5_000]))[0], theirs.eval()(x_1N).logits
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


LESS = {
    "layers": [0, 2],
    **{f"layers.{i}.feed_forward": list(range(i, 20 + i)) for i in (0, 2)},
    **{f"channels.{i}": list(range(1, 6 + i)) for i in range(3)},
}
NARROW = {"width": [0, 2, 5, 7], **{f"layers.{i}.heads": [i, 3] for i in range(3)}}


@pytest.mark.parametrize(
    ("kind", "choice"),
    [
        *((kind, choice) for kind in KINDS for choice in ({}, LESS)),
        *((kind, NARROW) for kind in KINDS if not kind.startswith("wavlm")),
    ],
)
def test_transformers_computes_the_same(kind: str, choice: dict[str, list[int]], tmp_path: Path) -> None:
    checkpoint = checkpoint_of(kind, tmp_path / "theirs", choice)
    hand_back(checkpoint.model, VOCABULARY, tmp_path / "back")
    assert_same(checkpoint.model, tmp_path / "back")
    again = read_wav2vec2(tmp_path / "back")
    assert again.settings() == checkpoint.model.settings.encoder
    for name, tensor in again.tensors.items():
        torch.testing.assert_close(tensor, checkpoint.model.state_dict()[f"encoder.{name}"], atol=1e-6, rtol=1e-5)
    assert again.head is not None
    weight, bias = again.head.of(VOCABULARY.tokens)
    assert torch.equal(weight, checkpoint.model.head.weight)
    assert torch.equal(bias, checkpoint.model.head.bias)


def test_transformers_tokenizer_and_feature_extractor_know_it(tmp_path: Path) -> None:
    from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor

    hand_back(checkpoint_of("wav2vec2 group", tmp_path / "theirs").model, VOCABULARY, tmp_path / "back")
    tokenizer = Wav2Vec2CTCTokenizer.from_pretrained(tmp_path / "back")
    ids = [VOCABULARY.tokens.index(c) for c in "to no"]
    assert tokenizer.decode([ids[0], 0, *ids[1:]]) == "to no"
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(tmp_path / "back")
    x_N = 0.1 * waveform(1_000)[0] + 0.2
    found = extractor(x_N.numpy(), sampling_rate=16_000, return_tensors="pt").input_values
    torch.testing.assert_close(found[0], waveform(1_000)[0], atol=1e-3, rtol=0)


@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")  # of transformers' WavLM
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.endswith("layer")])
def test_a_padded_batch_is_what_each_utterance_is(kind: str, tmp_path: Path) -> None:
    """By transformers' own feature extractor; a group norm takes in padding there, mask or not."""
    import transformers

    model = checkpoint_of(kind, tmp_path / "theirs").model
    hand_back(model, VOCABULARY, tmp_path / "back")
    config = json.loads((tmp_path / "back" / "config.json").read_text(encoding="utf-8"))
    theirs = getattr(transformers, CLASSES[config["model_type"]]).from_pretrained(tmp_path / "back").eval()
    extractor = transformers.Wav2Vec2FeatureExtractor.from_pretrained(tmp_path / "back")
    long_N, short_N = waveform(5_000)[0], waveform(2_085)[0]
    batch = extractor([long_N.numpy(), short_N.numpy()], sampling_rate=16_000, padding=True, return_tensors="pt")
    with torch.no_grad():
        alone, frames = model(short_N[None, :, None], torch.tensor([2_085]))
        found = theirs(**batch).logits[1:, : int(frames)]
    torch.testing.assert_close(found, alone, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("kind", "choice", "message"),
    [
        ("wav2vec2 group", {"layers.1.heads": [0, 1]}, r"heads are 4, 2, 4, where it has as many in each layer"),
        ("hubert layer", {"layers.0.feed_forward": [3]}, r"feed_forward are 1, 40, 40, where it has as many in each"),
        ("wav2vec2 layer", {"width": [0, 1]}, r"width 6 is not that of 4 heads of 6: keep 1 heads, or a width of 24"),
        (
            "wavlm",
            {"layers.1.heads": [1, 0, 2, 3]},
            r"heads of layer 1 are others than those of layer 0, whose position bias all layers share",
        ),
        (
            "wavlm layer",
            {"width": [0, 2, 5, 7], **{f"layers.{i}.heads": [0, 3] for i in range(3)}},
            r"heads of layer 0 read more of the stream than their own part: keep all heads and the whole width",
        ),
    ],
)
def test_what_it_cannot_express_is_named(kind: str, choice: dict[str, list[int]], message: str, tmp_path: Path) -> None:
    checkpoint = checkpoint_of(kind, tmp_path / "theirs", choice)
    with pytest.raises(ValueError, match=f"^transformers cannot express it: {message}"):
        hand_back(checkpoint.model, VOCABULARY, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_other_models_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"its family is cnn, and only wav2vec2 can be handed back"):
        hand_back(tiny("cnn", "transcription").model, VOCABULARY, tmp_path / "back")
    pooled = checkpoint_of("hubert group", tmp_path / "theirs", pooling=2).model
    with pytest.raises(ValueError, match=r"pooling is 2, where it has a frame every 160 samples: use pooling 1"):
        hand_back(pooled, VOCABULARY, tmp_path / "back")
    moved = checkpoint_of("hubert group", tmp_path / "theirs").model
    moved.set_statistics(torch.tensor([0.1]), torch.tensor([1.0]))
    with pytest.raises(ValueError, match=r"its samples are scaled otherwise than to a mean of 0"):
        hand_back(moved, VOCABULARY, tmp_path / "back")
