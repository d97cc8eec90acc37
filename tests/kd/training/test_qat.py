"""Rounding by hand, against integer arithmetic, with its gradient, and as training sees it."""

import numpy as np
import pytest
import torch
from factories import ENCODERS, make_features, make_model
from tiny_training import tiny_inputs
from torch import nn

from kd.losses import LABEL_LOSSES
from kd.training.qat import fake_quantised, rounded_input, rounded_weight


def test_weights_by_hand() -> None:
    """Steps of 1/64 and of 2/64: 0.01 is 0.64 steps, 0.3 is 9.6."""
    weight = torch.tensor([[1.0, 0.5, 0.01], [-2.0, 0.3, 0.0]])
    expected = torch.tensor([[1.0, 0.5, 1 / 64], [-2.0, 20 / 64, 0.0]])
    torch.testing.assert_close(rounded_weight(weight), expected)


def test_inputs_by_hand() -> None:
    """Ranges of 2.55 and of 5.1 (from −1.28 on): steps of 0.01 and of 0.02; one utterance does not touch the other."""
    x = torch.tensor([[2.55, 0.004, 1.006], [-1.28, 3.82, 0.011]])
    expected = torch.tensor([[2.55, 0.0, 1.01], [-1.28, 3.82, 0.02]])
    torch.testing.assert_close(rounded_input(x), expected)
    torch.testing.assert_close(rounded_input(x)[:1], rounded_input(x[:1]))


def test_zero_stays_zero_and_silence_is_no_trouble() -> None:
    x = torch.tensor([[0.0, -0.37, 0.91], [0.0, 0.0, 0.0]])
    assert rounded_input(x)[:, 0].tolist() == [0.0, 0.0]
    assert rounded_weight(torch.zeros(2, 3)).tolist() == torch.zeros(2, 3).tolist()


def test_a_linear_layer_is_what_integers_compute() -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(12, 5), torch.randn(3, 7, 12)
    with fake_quantised(layer), torch.no_grad():
        found = layer(x).numpy()
    weight = layer.weight.detach().numpy().astype(np.float64)
    step_O = np.abs(weight).max(1) / 64
    whole_OI = np.rint(weight / step_O[:, None]).astype(int)
    for row in range(3):
        values = x[row].numpy().astype(np.float64)
        low, high = min(values.min(), 0), max(values.max(), 0)
        step = (high - low) / 255
        zero = np.rint(-low / step).astype(int)
        whole_TI = np.clip(np.rint(values / step) + zero, 0, 255).astype(int) - zero
        expected = (whole_TI @ whole_OI.T) * (step * step_O) + layer.bias.detach().numpy()
        np.testing.assert_allclose(found[row], expected, atol=0.02)
        assert np.median(np.abs(found[row] - expected)) < 1e-5, "all but ties of rounding"


@pytest.mark.parametrize("name", ENCODERS)
def test_gradients_pass_and_the_model_is_left_as_it_was(name: str) -> None:
    problem = "keyword" if name == "patch_cnn" else "transcription"
    model = make_model(name, problem)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    inputs = tiny_inputs(problem, 0)
    plain = model(*make_features())[0].detach()
    with fake_quantised(model):
        logits_BTV, lengths_B = model(inputs.features_BTF, inputs.lengths_B)
        LABEL_LOSSES[problem](logits_BTV, lengths_B, inputs.targets_BL, inputs.target_lengths_B).backward()
        rounded = model(*make_features())[0].detach()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert model.head.weight.grad is not None
    assert model.head.weight.grad.abs().sum() > 0
    assert not torch.equal(rounded, plain)
    assert (rounded - plain).abs().max() < 0.5
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert torch.equal(model(*make_features())[0], plain)


def test_inactive_it_does_nothing() -> None:
    model = make_model("cnn")
    plain = model(*make_features())[0]
    with fake_quantised(model, active=False):
        assert torch.equal(model(*make_features())[0], plain)


def test_what_is_trained_with_qat_bears_eight_bits() -> None:
    """A weight of no use that blinds its channel to the others: rounding shows its cost, and training removes it."""
    torch.manual_seed(0)
    x = torch.randn(64, 1, 4)
    x[..., 0] = 0.02 * torch.randn(64, 1)
    target = x[..., 1:] @ torch.tensor([[0.3], [-0.2], [0.25]])
    layer = nn.Linear(4, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[60.0, 0.3, -0.2, 0.25]]))

    def loss() -> torch.Tensor:
        return (layer(x) - target).square().mean()

    optimiser = torch.optim.Adam(layer.parameters(), 0.5)
    with fake_quantised(layer):
        first = loss().item()
        for _ in range(300):
            optimiser.zero_grad()
            loss().backward()
            optimiser.step()
        for group in optimiser.param_groups:
            group["lr"] = 0.005
        for _ in range(200):
            optimiser.zero_grad()
            loss().backward()
            optimiser.step()
        assert loss().item() < 0.02 * first
