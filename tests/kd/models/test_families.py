"""Laws of every family, for both problems."""

import pytest
import torch
from factories import CASES, ENCODERS, NUM_FEATURES, NUM_OUTPUTS, make_features, make_model
from pydantic import ValidationError

from kd.config.models import ModelSettings
from kd.models import FAMILIES, Recogniser

every_case = pytest.mark.parametrize(("name", "problem"), CASES, ids=["-".join(case) for case in CASES])


def test_every_family_is_covered() -> None:
    assert {encoder["family"] for encoder in ENCODERS.values()} == set(FAMILIES)


@every_case
def test_padding_does_not_matter(name: str, problem: str) -> None:
    model = make_model(name, problem)
    features, lengths = make_features()
    dirty = features.clone()
    dirty[1, 17:] = float("nan")
    dirty[2, 30:] = 1e9
    clean_logits, frames = model(features, lengths)
    logits, _ = model(dirty, lengths)
    for got, expected, n in zip(logits, clean_logits, frames.tolist(), strict=True):
        torch.testing.assert_close(got[:n], expected[:n], rtol=0, atol=0)


@every_case
def test_batch_mates_do_not_matter(name: str, problem: str) -> None:
    model = make_model(name, problem)
    features, lengths = make_features()
    logits, frames = model(features, lengths)
    for b, n in enumerate(lengths.tolist()):
        alone, frames_alone = model(features[b : b + 1, :n], lengths[b : b + 1])
        assert frames_alone.item() == frames[b].item()
        torch.testing.assert_close(alone[0], logits[b, : frames[b]], rtol=1e-4, atol=1e-5)


@every_case
def test_lengths_are_as_announced(name: str, problem: str) -> None:
    model = make_model(name, problem)
    features, lengths = make_features()
    logits, frames = model(features, lengths)
    assert frames.tolist() == model.output_lengths(lengths).tolist()
    assert logits.shape == (3, int(frames.max()), NUM_OUTPUTS)


@every_case
def test_training_ignores_padding_too(name: str, problem: str) -> None:
    """Batch statistics come from valid frames; dropout is off so that both passes are comparable."""
    model = make_model(name, problem).train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    features, lengths = make_features()
    state = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    logits, frames = model(features, lengths)
    model.load_state_dict(state)
    longer = torch.cat([features, torch.full((3, 9, NUM_FEATURES), 7.0)], dim=1)
    again, _ = model(longer, lengths)
    for got, expected, n in zip(again, logits, frames.tolist(), strict=True):
        torch.testing.assert_close(got[:n], expected[:n], rtol=1e-4, atol=1e-5)


@every_case
def test_every_parameter_learns(name: str, problem: str) -> None:
    model = make_model(name, problem).train()
    logits, _ = model(*make_features())
    logits.square().sum().backward()
    # A constant added to all keys cancels in the softmax; rotary positions keep it from being exact.
    still = [key for key, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


@pytest.mark.parametrize("subsampling", [1, 2, 4])
def test_subsampling_halves_and_rounds_up(subsampling: int) -> None:
    model = make_model("cnn")
    encoder = {**ENCODERS["cnn"], "subsampling": subsampling}
    settings = ModelSettings.model_validate({**model.settings.model_dump(), "encoder": encoder})
    rebuilt = Recogniser(settings, FAMILIES["cnn"]).eval()
    features, _ = make_features()
    _, frames = rebuilt(features, torch.tensor([40, 17, 1]))
    assert frames.tolist() == [-(-n // subsampling) for n in (40, 17, 1)]


def test_the_classical_keyword_network_has_its_sizes() -> None:
    settings = ModelSettings.model_validate(
        {"problem": "keyword", "num_features": 32, "num_outputs": 10, "encoder": {"family": "patch_cnn"}}
    )
    shapes = {key: tuple(p.shape) for key, p in Recogniser(settings, FAMILIES["patch_cnn"]).named_parameters()}
    assert shapes["encoder.conv1.weight"] == (32, 1, 3, 3)
    assert shapes["encoder.conv2.weight"] == (64, 32, 3, 3)
    assert shapes["encoder.linear.weight"] == (512, 64 * 16 * 8)
    assert shapes["head.weight"] == (10, 512)


def test_a_patch_cannot_transcribe() -> None:
    with pytest.raises(ValidationError, match="cannot transcribe"):
        make_model("patch_cnn", "transcription")


def test_the_number_of_widths_is_checked() -> None:
    with pytest.raises(ValidationError, match="hidden lists 2 widths for 3 layers"):
        ModelSettings.model_validate(
            {
                "problem": "keyword",
                "num_features": 8,
                "num_outputs": 2,
                "encoder": {**ENCODERS["cnn"], "hidden": [3, 4]},
            }
        )


def test_a_bare_depthwise_block_by_hand() -> None:
    """One channel, kernel 3, all weights one: y = x + relu(sum of the three neighbours)."""
    encoder = {"family": "cnn", "stem": 1, "width": 1, "layers": 1, "hidden": 1, "kernel": 3, "subsampling": 1}
    model = Recogniser(
        ModelSettings.model_validate(
            {"problem": "transcription", "num_features": 1, "num_outputs": 1, "encoder": encoder}
        ),
        FAMILIES["cnn"],
    ).eval()
    with torch.no_grad():
        for key, p in model.named_parameters():
            p.fill_(0.0 if key.endswith("bias") else 1.0)
        for conv in ("conv1", "conv2"):
            weight = model.get_parameter(f"encoder.stem.{conv}.weight")
            weight.zero_()
            weight[:, :, 1] = 1.0
    x = torch.tensor([[[1.0], [2.0], [4.0]]])
    logits, _ = model(x, torch.tensor([3]))
    scale = (1 + model.encoder.layers[0].norm.eps) ** -0.5
    expected = torch.tensor([1 + 3 * scale, 2 + 7 * scale, 4 + 6 * scale])
    torch.testing.assert_close(logits[0, :, 0], expected)
