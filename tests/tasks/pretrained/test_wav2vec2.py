"""wav2vec 2.0, HuBERT and WavLM against transformers' and torchaudio's models, from every file of their weights."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_bundle import LABELS, make_tiny_bundle
from wav2vec2_oracle import KINDS, LETTERS, oracle, torchaudio_model, waveform, write_transformers

from kd.config.frontend import FrontEndSettings
from kd.config.models import ModelSettings
from kd.config.propagation import PruneUnits
from kd.models import Recogniser, build
from kd.propagation import Propagated, apply, propagate
from kd.text.vocabulary import Vocabulary
from tasks.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tasks.pretrained.bundles import find_bundle, load_bundle
from tasks.pretrained.encoder_weights import EncoderWeights, with_encoder_weights, with_head
from tasks.pretrained.read import read_pretrained
from tasks.pretrained.torchaudio_models import of_torchaudio, read_bundle
from tasks.pretrained.wav2vec2 import read_wav2vec2

pytest.importorskip("transformers", reason="make test installs it (requirements-test.lock)")
TOLERANCE = 1e-4
VOCABULARY = Vocabulary.characters("enowtrhu '")
FRONT_END = FrontEndSettings(kind="waveform")
PLACES = [1, *(3 + LETTERS.index("|" if token == " " else token.upper()) for token in VOCABULARY.tokens[1:])]
"""Of our units among the outputs of transformers' heads."""


def recogniser(weights: EncoderWeights) -> Recogniser:
    """With its own head, for our units."""
    sizes = {"problem": "transcription", "num_features": 1, "num_outputs": len(VOCABULARY), "normalised": True}
    model = build(ModelSettings.model_validate({**sizes, "encoder": weights.settings(1)}))
    state = with_head(with_encoder_weights(model.state_dict(), weights), weights, VOCABULARY.tokens)
    model.load_state_dict(state, strict=True)
    return model.eval()


def checkpoint_of(model: Recogniser) -> Checkpoint:
    return Checkpoint(model, FRONT_END, VOCABULARY, "teacher", "pretrained", "none")


@torch.no_grad()
def difference(model: Recogniser, theirs: Any, num_samples: int) -> float:
    """Of the logits of the units that both have."""
    x_1N = waveform(num_samples)
    found, frames = model(x_1N[..., None], torch.tensor([num_samples]))
    expected = theirs(x_1N).logits[..., PLACES]
    assert frames.tolist() == [expected.shape[1]]
    return float((found - expected).abs().max())


@pytest.mark.parametrize("kind", KINDS)
def test_equals_transformers_saved_loaded_and_sliced_to_everything(kind: str, tmp_path: Path) -> None:
    theirs = oracle(kind)
    model = recogniser(read_wav2vec2(write_transformers(theirs, tmp_path / "theirs")))
    for num_samples in (165, 324, 5_000):
        assert difference(model, theirs, num_samples) < TOLERANCE
    save_checkpoint(tmp_path / "ours", checkpoint_of(model))
    loaded = load_checkpoint(tmp_path / "ours")
    assert (loaded.frontend, loaded.model.settings) == (FRONT_END, model.settings)
    assert difference(loaded.model, theirs, 5_000) < TOLERANCE
    whole = apply(loaded.model, {d.name: torch.arange(d.size) for d in loaded.model.dimensions()})
    assert difference(whole, theirs, 5_000) < TOLERANCE


@pytest.mark.parametrize("kind", KINDS)
def test_pruned_to_a_quarter_it_reloads(kind: str, tmp_path: Path) -> None:
    model = recogniser(read_wav2vec2(write_transformers(oracle(kind), tmp_path / "theirs")))
    dims = ("width", "channels", "heads", "feed_forward")
    prune = PruneUnits.model_validate({"op": "prune_units", "dims": dims, "sparsity": 0.6, "scope": "layer"})
    smaller = propagate(Propagated(model), [prune]).model
    sizes = [sum(p.numel() for p in m.parameters()) for m in (model, smaller)]
    assert sizes[1] <= 0.25 * sizes[0]
    save_checkpoint(tmp_path / "small", checkpoint_of(smaller))
    again = load_checkpoint(tmp_path / "small").model
    inputs = waveform(5_000)[..., None], torch.tensor([5_000])
    with torch.no_grad():
        assert torch.equal(again(*inputs)[0], smaller(*inputs)[0])


@pytest.mark.parametrize("kind", ["wav2vec2 layer", "hubert group", "wavlm"])
def test_weights_without_a_head_are_the_same_encoder(kind: str, tmp_path: Path) -> None:
    """As models come that were only pre-trained; transformers leaves the prefix of their names out."""
    theirs = oracle(kind)
    with_one = read_wav2vec2(write_transformers(theirs, tmp_path / "a"))
    without = read_wav2vec2(write_transformers(theirs.base_model, tmp_path / "b"))
    assert with_one.head is not None
    assert without.head is None
    assert without.shape == with_one.shape
    assert all(torch.equal(tensor, without.tensors[name]) for name, tensor in with_one.tensors.items())
    with pytest.raises(ValueError, match=r"head: kept, but it has no CTC head with a vocabulary: use head: new"):
        with_head({}, without, VOCABULARY.tokens)


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("layer", [False, True])
def test_equals_torchaudio_with_its_head(gated: bool, layer: bool) -> None:
    theirs = torchaudio_model(gated, layer)
    weights = of_torchaudio(theirs, "a bundle", ("-", "|", *"ABCDE"))
    assert weights.head is not None
    model = build(
        ModelSettings(problem="transcription", num_features=1, num_outputs=7, encoder=weights.settings())
    ).eval()
    state = with_head(with_encoder_weights(model.state_dict(), weights), weights, ("", " ", *"abcde"))
    model.load_state_dict(state, strict=True)
    x_1N = waveform(4_000)
    with torch.no_grad():
        found, expected = model(x_1N[..., None], torch.tensor([4_000]))[0], theirs(x_1N)[0]
    torch.testing.assert_close(found, expected, atol=TOLERANCE, rtol=0)


def test_a_bundles_file_is_that_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the rows of its head that torchaudio itself removes gone, and its samples scaled."""
    weights = read_pretrained(make_tiny_bundle(tmp_path, monkeypatch), "TINY_ASR")
    model, x_1N = recogniser(weights), 0.1 * waveform(4_000)
    with torch.no_grad():
        found, _ = model(x_1N[..., None], torch.tensor([4_000]))
        expected = load_bundle("TINY_ASR", find_bundle("TINY_ASR"), tmp_path / "tiny.pth")(x_1N)[0]
    ours = [0, *(1 + LABELS.index("|" if token == " " else token.upper()) for token in VOCABULARY.tokens[1:])]
    torch.testing.assert_close(found, expected[..., ours], atol=TOLERANCE, rtol=0)


def test_a_bundle_that_is_none_or_whose_file_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"bundle 'HUBERT' is none of torchaudio\.pipelines: name one such as"):
        read_bundle("HUBERT", tmp_path)
    with pytest.raises(ValueError, match=r"path .*x\.pth: no such file; it should be the weights of WAV2VEC2_BASE"):
        read_pretrained(tmp_path / "x.pth", "WAV2VEC2_BASE")


def test_weights_in_pickle_are_read_and_code_in_it_is_not_run(tmp_path: Path) -> None:
    theirs = oracle("hubert layer")
    folder = write_transformers(theirs, tmp_path / "a")
    (folder / "model.safetensors").unlink()
    torch.save(theirs.state_dict(), folder / "pytorch_model.bin")
    assert difference(recogniser(read_pretrained(folder)), theirs, 1_000) < TOLERANCE
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"x": Path("run me")}))
    with pytest.raises(ValueError, match=r"pytorch_model\.bin holds more than weights, or is damaged: "):
        read_pretrained(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "data2vec-audio"}, r"model_type is 'data2vec-audio', expected wav2vec2, hubert, wavlm"),
        ({"hidden_act": "relu"}, r"config\.json: hidden_act is 'relu', expected 'gelu': give another model"),
        ({"num_attention_heads": 5}, r"num_attention_heads 5 do not share a hidden_size of 24 evenly"),
        ({"conv_dim": [12, 10]}, r"channels lists 2 convolutions, kernels 3, strides 3"),
        ({"conv_dim": [10**9] * 3}, r"config\.json has sizes of no model: .*: copy it again$"),
        ({"feat_extract_norm": "batch"}, r"says of extractor_norm: Input should be 'group' or 'layer'"),
        (
            {"conv_dim": [12, 10, 9]},
            r"extractor\.layers\.2\.conv\.weight has the shape \(8, 10, 4\), expected \(9, 10, 4\)",
        ),
        ({"num_hidden_layers": 4}, r"lacks layers\.3\.attention\.key\.weight, layers\.3\.attention\.out\.bias"),
    ],
)
def test_a_config_that_is_not_understood_is_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        read_wav2vec2(write_transformers(oracle("wav2vec2 group"), tmp_path / "x", **change))


def test_samples_that_are_not_scaled_are_refused_where_that_matters(tmp_path: Path) -> None:
    """As WavLM base has them, whose group norm takes a gain away."""
    for kind in ("wavlm", "wavlm layer"):
        folder = write_transformers(oracle(kind), tmp_path / kind)
        (folder / "preprocessor_config.json").write_text('{"do_normalize": false}', encoding="utf-8")
    model, theirs = recogniser(read_wav2vec2(tmp_path / "wavlm")), oracle("wavlm")
    with torch.no_grad():
        found, _ = model(0.1 * waveform(900)[..., None] + 0.05, torch.tensor([900]))
        torch.testing.assert_close(found, theirs(0.1 * waveform(900) + 0.05).logits[..., PLACES], atol=5e-2, rtol=0)
    with pytest.raises(ValueError, match=r"preprocessor_config\.json: do_normalize is false, but samples are always"):
        read_wav2vec2(tmp_path / "wavlm layer")


GATE, CONV = "wavlm.encoder.layers.1.attention.gru_rel_pos", "wavlm.encoder.pos_conv_embed.conv.parametrizations.weight"
SPOILT: dict[str, tuple[str, tuple[int, ...] | None, str]] = {
    "no bias of the head": ("lm_head.bias", None, r"lacks lm_head\.bias: copy it again"),
    "a short bias": ("lm_head.bias", (3,), r"lm_head\.bias has the shape \(3,\), expected \(13,\): copy it again"),
    "a head of one number": ("lm_head.weight", (), r"lm_head\.weight has the shape \(\), expected \(24,\)"),
    "a head of another width": (
        "lm_head.weight",
        (13, 5),
        r"lm_head\.weight has the shape \(13, 5\), expected \(13, 24\)",
    ),
    "a gate's weights": (f"{GATE}_linear.weight", (7, 6), r"linear\.weight has the shape \(7, 6\), expected \(8, 6\)"),
    "a gate's bias": (f"{GATE}_linear.bias", (3,), r"gru_rel_pos_linear\.bias has the shape \(3,\), expected \(8,\)"),
    "a gate's scale": (f"{GATE}_const", (3,), r"gru_rel_pos_const has the shape \(3,\), expected \(1, 4, 1, 1\)"),
    "sizes of the weight norm": (f"{CONV}.original0", (5,), r"original0 has the shape \(5,\), expected \(1, 1, 8\)"),
    "its directions": (f"{CONV}.original1", (2, 3), r"original1 has the shape \(2, 3\), expected \(24, 8, 8\)"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_damaged_weight_is_named(case: str, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    (name, size, message), folder = SPOILT[case], write_transformers(oracle("wavlm"), tmp_path / "x")
    tensors = load_file(folder / "model.safetensors")
    del tensors[name]
    more = {} if size is None else {name: torch.zeros(size)}
    save_file({**tensors, **more}, folder / "model.safetensors")
    with pytest.raises(ValueError, match=message) as found:
        read_wav2vec2(folder)
    assert "\n" not in str(found.value)


def test_a_folder_of_another_kind_is_named_with_the_kinds_that_are_known(tmp_path: Path) -> None:
    folder = write_transformers(oracle("wavlm"), tmp_path / "x", model_type="sew")
    with pytest.raises(ValueError, match=r"model_type is 'sew', expected whisper, wav2vec2, hubert, wavlm: give"):
        read_pretrained(folder)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match="whisper"):
        read_pretrained(folder)


def test_a_key_that_is_unknown_is_named(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = write_transformers(oracle("wavlm"), tmp_path / "x")
    tensors = load_file(folder / "model.safetensors")
    save_file({**tensors, "wavlm.encoder.layers.0.adapter.weight": torch.zeros(2, 3)}, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"layers\.0\.adapter\.weight of shape \(2, 3\) is no tensor of wav2vec 2\.0"):
        read_wav2vec2(folder)
    del tensors["wavlm.encoder.layers.1.attention.gru_rel_pos_const"]
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"lacks 'encoder\.layers\.1\.attention\.gru_rel_pos_const'"):
        read_wav2vec2(folder)


def test_a_head_without_our_characters_says_what_it_has(tmp_path: Path) -> None:
    weights = read_wav2vec2(write_transformers(oracle("wav2vec2 group"), tmp_path / "x"))
    with pytest.raises(
        ValueError,
        match=r"^head: kept, but it never says 'x', of which we have a unit. Write problem\.units\.alphabet: "
        r"\" eontwhru'\" or fewer, or head: new$",
    ):
        with_head({}, weights, ("", "x", "e"))
    (tmp_path / "x" / "vocab.json").write_text(json.dumps({"de": {"a": 1}}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"vocab\.json does not number the 13 units of lm_head"):
        read_wav2vec2(tmp_path / "x")
