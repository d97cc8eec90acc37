"""Statistics of calibration batches by hand and against autograd, and the scores that come of them."""

from collections.abc import Callable

import pytest
import torch
from factories import ENCODERS, make_features, make_model
from pydantic import TypeAdapter
from torch import Tensor

from kd.config.propagation import Calibrated, DataDriven
from kd.models import Recogniser
from kd.propagation.calibration import gather, input_sizes, mean_gradients, movement
from kd.propagation.importance import weight_scores


def loss_of(row: int) -> Callable[[Recogniser], Tensor]:
    features, lengths = make_features()

    def loss(model: Recogniser) -> Tensor:
        return model(features[row : row + 1], lengths[row : row + 1])[0].square().mean()

    return loss


LOSSES = [loss_of(row) for row in range(3)]


def test_gradients_are_autograds_mean() -> None:
    model = make_model("conformer")
    got = mean_gradients(model, LOSSES)
    assert all(p.grad is None for p in model.parameters()), "the model's own gradients stay as they were"
    torch.stack([loss(model) for loss in LOSSES]).mean().backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(got[name], parameter.grad, rtol=1e-4, atol=1e-7)


def linear_loss(model: Recogniser) -> tuple[dict[str, Tensor], Callable[[Recogniser], Tensor]]:
    """A loss that is linear in the weights, Σ c w, and its c: the gradient, wherever the weights are."""
    generator = torch.Generator().manual_seed(8)
    factors = {name: torch.randn(p.shape, generator=generator) for name, p in model.named_parameters()}

    def linear(model: Recogniser) -> Tensor:
        return torch.stack([(factors[name] * p).sum() for name, p in model.named_parameters()]).sum()

    return factors, linear


def test_taylor_by_hand() -> None:
    model = make_model("gru")
    factors, linear = linear_loss(model)
    scores = weight_scores(model, Calibrated(by="taylor"), mean_gradients(model, [linear, linear]))
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(scores[name], (factors[name] * parameter.detach()) ** 2)


def test_batches_that_pull_apart_cancel_out_by_taylor_but_not_by_fisher() -> None:
    """Gradients c and -3c: their mean is -c, the mean of their squares 5 c²."""
    model = make_model("gru")
    factors, linear = linear_loss(model)
    losses = [linear, lambda model: -3 * linear(model)]
    taylor = weight_scores(model, Calibrated(by="taylor"), gather(model, Calibrated(by="taylor"), losses))
    fisher = weight_scores(model, Calibrated(by="fisher"), gather(model, Calibrated(by="fisher"), losses))
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(taylor[name], (factors[name] * parameter.detach()) ** 2)
        torch.testing.assert_close(fisher[name], 5 * (factors[name] * parameter.detach()) ** 2)


def test_movement_by_hand() -> None:
    """Two steps of a linear loss: -w c at the first, -(w - lr c') c' at the second, c' the clipped gradient."""
    model = make_model("gru")
    factors, linear = linear_loss(model)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    moved = movement(model, [linear, linear], lr=0.1)
    norm = torch.cat([c.flatten() for c in factors.values()]).norm()
    for name, weight in before.items():
        clipped = factors[name] * 5.0 / norm
        torch.testing.assert_close(moved[name], -weight * clipped - (weight - 0.1 * clipped) * clipped)
        assert torch.equal(model.get_parameter(name), weight), "only a copy moves"


@pytest.mark.parametrize("name", ENCODERS)
def test_input_sizes_are_those_that_the_layers_meet(name: str) -> None:
    """Against a linear layer and a convolution of the model, asked directly; all broadcast to their weights."""
    model = make_model(name, "keyword")
    heard: list[Tensor] = []
    model.head.register_forward_pre_hook(lambda _, inputs: heard.append(inputs[0].flatten(0, 1)))
    sizes = input_sizes(model, LOSSES)
    torch.testing.assert_close(sizes["head.weight"][0], torch.cat(heard).square().mean(0).sqrt())
    for key, parameter in model.named_parameters():
        assert torch.broadcast_shapes(sizes[key].shape, parameter.shape) == parameter.shape
        assert (sizes[key] >= 0).all()
        if parameter.ndim == 1:
            assert sizes[key].tolist() == [1.0]
    assert all(len(m._forward_pre_hooks) == (m is model.head) for m in model.modules()), "hooks are taken off again"


def test_a_depthwise_convolution_meets_one_channel_each() -> None:
    model = make_model("cnn")
    weight = model.get_parameter("encoder.layers.0.depthwise.weight")
    assert input_sizes(model, LOSSES)["encoder.layers.0.depthwise.weight"].shape == (len(weight), 1, 1)


def test_recurrent_weights_meet_their_layers_output() -> None:
    model = make_model("gru")
    heard: list[Tensor] = []
    model.get_submodule("encoder.layers.0.ahead").register_forward_hook(lambda _, __, out: heard.append(out[0][0]))
    sizes = input_sizes(model, LOSSES)
    expected = torch.cat(heard).square().mean(0).sqrt()
    torch.testing.assert_close(sizes["encoder.layers.0.ahead.weight_hh_l0"][0], expected)


@pytest.mark.parametrize("by", ["gradient", "taylor", "fisher", "activation", "movement"])
def test_no_calibration_batch_is_refused(by: str) -> None:
    importance = TypeAdapter[DataDriven](DataDriven).validate_python({"by": by})
    with pytest.raises(ValueError, match="no calibration batch: importance needs at least one"):
        gather(make_model("cnn"), importance, [])
