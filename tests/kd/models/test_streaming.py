"""What streams equals what is computed at once, for every causal family."""

from typing import Any

import pytest
import torch
from factories import ENCODERS, NUM_FEATURES, NUM_OUTPUTS, make_features, make_model
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from kd.config.frontend import FrontEndSettings
from kd.config.models import ModelSettings
from kd.models import Recogniser, build
from kd.models.streaming import Streaming, latency_ms, why_not

CAUSAL = [name for name in ENCODERS if ENCODERS[name].get("causal")]
every_causal = pytest.mark.parametrize("name", CAUSAL)


def with_encoder(name: str, **changes: Any) -> Recogniser:
    base = make_model(name).settings.model_dump()
    torch.manual_seed(3)
    return build(ModelSettings.model_validate({**base, "encoder": {**base["encoder"], **changes}})).eval()


@torch.no_grad()
def whole(model: Recogniser, features_BTF: Tensor) -> Tensor:
    lengths_B = torch.full((len(features_BTF),), features_BTF.shape[1])
    return model(features_BTF, lengths_B)[0].log_softmax(2)


@torch.no_grad()
def streamed(model: Recogniser, features_BTF: Tensor, blocks: list[int]) -> Tensor:
    """Output of blocks of so many output frames each; the last size goes on until nothing is left."""
    stream = Streaming(model)
    rubbish = torch.full((len(features_BTF), stream.subsampling - 1, NUM_FEATURES), 1e3)
    rest, state, found = torch.cat([rubbish, features_BTF], dim=1), stream.start(len(features_BTF)), []
    while rest.shape[1] >= stream.subsampling:
        size = min(blocks[min(len(found), len(blocks) - 1)], rest.shape[1] // stream.subsampling)
        log_probs, *state = stream(rest[:, : size * stream.subsampling], *state)
        rest = rest[:, size * stream.subsampling :]
        found.append(log_probs)
    return torch.cat(found, dim=1)


def test_three_families_stream() -> None:
    assert {ENCODERS[name]["family"] for name in CAUSAL} == {"cnn", "rnn", "conformer"}


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from([name for name in CAUSAL if ENCODERS[name]["family"] != "conformer"]),
    num_frames=st.integers(1, 70),
    blocks=st.lists(st.integers(1, 9), min_size=1, max_size=6),
    subsampling=st.sampled_from([1, 2, 4]),
)
def test_streamed_is_whole_in_blocks_of_any_size(
    name: str, num_frames: int, blocks: list[int], subsampling: int
) -> None:
    model = with_encoder(name, subsampling=subsampling)
    features_BTF = torch.randn(2, num_frames, NUM_FEATURES)
    torch.testing.assert_close(streamed(model, features_BTF, blocks), whole(model, features_BTF), atol=1e-5, rtol=1e-4)


@settings(max_examples=40, deadline=None)
@given(
    num_frames=st.integers(1, 90),
    chunk_frames=st.integers(1, 5),
    left_chunks=st.integers(1, 3),
    subsampling=st.sampled_from([1, 2, 4]),
)
def test_a_conformer_streams_in_its_chunks(
    num_frames: int, chunk_frames: int, left_chunks: int, subsampling: int
) -> None:
    changes = {"chunk_frames": chunk_frames, "left_chunks": left_chunks, "subsampling": subsampling}
    model = with_encoder("conformer-causal", **changes)
    features_BTF = torch.randn(2, num_frames, NUM_FEATURES)
    torch.testing.assert_close(
        streamed(model, features_BTF, [chunk_frames]), whole(model, features_BTF), atol=1e-5, rtol=1e-4
    )


@every_causal
def test_no_frame_depends_on_what_follows_its_block(name: str) -> None:
    """And each does depend on the last feature that it may: the delay is not longer than it must be."""
    model = make_model(name)
    encoder = model.settings.encoder
    features_BTF, _ = make_features()
    clean_BTV = whole(model, features_BTF)
    size = encoder.block_frames * encoder.subsampling
    for block in range(3):
        last = (block + 1) * size - encoder.subsampling
        until = (block + 1) * encoder.block_frames
        for first, same in ((last + 1, True), (last, False)):
            other_BTF = features_BTF.clone()
            other_BTF[:, first:, ::2] += 3.0  # not all bins: that were a gain, which changes nothing
            change = (whole(model, other_BTF) - clean_BTV)[:, :until].abs().amax(dim=(0, 2))
            assert (float(change.max()) < 1e-5) == same
            assert same or float(change[-1]) > 1e-4


@every_causal
def test_streams_of_a_batch_are_apart_and_may_begin_at_different_times(name: str) -> None:
    model = make_model(name)
    stream, block = Streaming(model), model.settings.encoder.block_frames * 4
    features_BTF = torch.randn(2, 4 * block, NUM_FEATURES)
    with torch.no_grad():
        alone, *old = stream(features_BTF[:1, :block], *stream.start())
        joined = [torch.cat(pair) for pair in zip(old, stream.start(), strict=True)]
        second = torch.cat([features_BTF[:1, block : 2 * block], features_BTF[1:, :block]])
        together, *_ = stream(second, *joined)
        expected, *_ = stream(features_BTF[:1, block : 2 * block], *old)
        newcomer, *_ = stream(features_BTF[1:, :block], *stream.start())
    assert alone.shape == expected.shape
    torch.testing.assert_close(together[:1], expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(together[1:], newcomer, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", [name for name in ENCODERS if ENCODERS[name]["family"] == "cnn"])
def test_receptive_field_is_what_an_output_frame_depends_on(name: str) -> None:
    model = make_model(name).double()
    before, after = model.receptive_field()
    features_BTF = torch.randn(1, 241, NUM_FEATURES, dtype=torch.float64, requires_grad=True)
    logits_BTV, _ = model(features_BTF, torch.tensor([241]))
    logits_BTV[0, 30].square().sum().backward()
    assert features_BTF.grad is not None
    heard = features_BTF.grad[0].abs().sum(1).nonzero().flatten()
    assert (120 - int(heard[0]), int(heard[-1]) - 120) == (before, after)


def test_a_causal_conformer_sees_no_further_than_its_receptive_field() -> None:
    model = make_model("conformer-causal").double()
    before, after = model.receptive_field()
    features_BTF = torch.randn(1, 241, NUM_FEATURES, dtype=torch.float64, requires_grad=True)
    logits_BTV, _ = model(features_BTF, torch.tensor([241]))
    heard = []
    for frame in (40, 41):  # the first and the last of a chunk
        (gradient_BTF,) = torch.autograd.grad(logits_BTV[0, frame].square().sum(), features_BTF, retain_graph=True)
        frames = gradient_BTF[0].abs().sum(1).nonzero().flatten()
        heard.append((4 * frame - int(frames[0]), int(frames[-1]) - 4 * frame))
    assert max(a for _, a in heard) == after
    assert max(b for b, _ in heard) <= before


def test_the_latency_is_a_block_and_half_a_window() -> None:
    front = FrontEndSettings()
    assert latency_ms(make_model("gru-causal"), front) == 40 + 12.5
    assert latency_ms(make_model("conformer-causal"), front) == 2 * 40 + 12.5


@pytest.mark.parametrize(("name", "why"), [("cnn", "causal: true"), ("patch_cnn", "keyword")])
def test_what_cannot_stream_says_why(name: str, why: str) -> None:
    model = make_model(name, "keyword" if name == "patch_cnn" else "transcription")
    assert why in why_not(model)
    with pytest.raises(ValueError, match="cannot stream"):
        Streaming(model)


def test_features_below_an_utterances_peak_do_not_stream() -> None:
    model = make_model("gru-causal")
    model.settings = model.settings.model_copy(update={"level_frames": 0, "dynamic_range": 2.0})
    assert why_not(model) == "its features are taken relative to the peak of the whole utterance"


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("gru", {"causal": True}, "set bidirectional: false"),
        ("conformer", {"causal": True}, "give chunk_frames"),
        ("conformer", {"chunk_frames": 8}, "remove chunk_frames"),
        ("conformer-causal", {"left_chunks": None}, "give left_chunks"),
    ],
)
def test_what_does_not_fit_together_is_named(name: str, changes: dict[str, Any], message: str) -> None:
    encoder = {**ENCODERS[name], **changes}
    settings_of = {"problem": "transcription", "num_features": NUM_FEATURES, "num_outputs": NUM_OUTPUTS}
    with pytest.raises(ValidationError, match=message):
        ModelSettings.model_validate({**settings_of, "encoder": encoder})


def test_a_family_that_takes_an_utterance_whole_has_no_stream() -> None:
    encoder = make_model("patch_cnn", "keyword").encoder
    assert encoder.receptive_field() is None
    with pytest.raises(TypeError, match="PatchCNNEncoder takes an utterance whole"):
        encoder.memory()
    with pytest.raises(TypeError, match="PatchCNNEncoder takes an utterance whole"):
        encoder.step(torch.zeros(1, 4, 80), torch.zeros(1, dtype=torch.int64), encoder)
