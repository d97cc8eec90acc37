"""Penalties draw weights, or whole units, to zero, as hard as their formulas say."""

import pytest
import torch
from factories import ENCODERS, make_model
from precision import FLOAT32
from torch import Tensor

from kd.models import Axis, Dimension
from kd.models.dimensions import reads, writes
from kd.propagation.shrink.penalties import SparsityPenalty, coupled, group_lasso, l1

TOY = Dimension("toy", "hidden", 2, "hidden", axes=(*writes("into", "bias"), reads("out")))


def toy() -> dict[str, Tensor]:
    """Two units, of two weights in, a bias and one weight out: (3, 0, 4, 0) and (1, 1, 1, 1)."""
    weights = {"into": [[3.0, 0.0], [1.0, 1.0]], "bias": [4.0, 1.0], "out": [[0.0, 1.0]]}
    return {name: torch.tensor(values, requires_grad=True) for name, values in weights.items()}


def test_group_lasso_by_hand() -> None:
    """√4 · (5 + 2), and the first unit's weight 3 is drawn by √4 · 3/5."""
    weights = toy()
    value = group_lasso(weights, [TOY])
    value.backward()
    assert value.item() == pytest.approx(14.0, rel=FLOAT32)
    assert weights["into"].grad is not None
    assert weights["into"].grad.tolist() == [[pytest.approx(1.2, rel=FLOAT32), 0.0], [1.0, 1.0]]


def test_l1_by_hand() -> None:
    weights = toy()
    value = l1(weights)
    value.backward()
    assert value.item() == 6.0, "the bias is not counted"
    assert weights["bias"].grad is None
    assert weights["into"].grad is not None
    assert weights["into"].grad.tolist() == [[1.0, 0.0], [1.0, 1.0]]


def test_a_unit_that_is_zero_is_left_alone() -> None:
    weights = {name: torch.zeros_like(tensor).requires_grad_() for name, tensor in toy().items()}
    group_lasso(weights, [TOY]).backward()
    assert all(tensor.grad is not None and not tensor.grad.any() for tensor in weights.values())


def test_blocks_belong_to_their_unit() -> None:
    """Three gates of two units, one after another: unit 1 has entries 1, 3 and 5."""
    gates = Dimension("gates", "hidden", 2, "hidden", axes=(Axis("w", 0, blocks=3),))
    squares, count = coupled({"w": torch.tensor([1.0, 10.0, 2.0, 20.0, 3.0, 30.0])}, gates)
    assert squares.tolist() == [14.0, 1400.0]
    assert count == 3


@pytest.mark.parametrize("name", ENCODERS)
def test_descent_draws_every_unit_to_zero(name: str) -> None:
    """A small step against the gradient makes each unit's norm less, for every dimension of every family."""
    model = make_model(name, "keyword" if name == "patch_cnn" else "transcription")
    for dimension in (d for d in model.dimensions() if d.dim != "layers"):
        weights = {key: p.detach().clone().requires_grad_() for key, p in model.named_parameters()}
        group_lasso(weights, [dimension]).backward()
        moved = {key: (w - 1e-4 * (0 if w.grad is None else w.grad)).detach() for key, w in weights.items()}
        before, _ = coupled({key: w.detach() for key, w in weights.items()}, dimension)
        after, _ = coupled(moved, dimension)
        assert (after < before).all()


def test_the_penalty_adds_its_gradient_to_what_is_there() -> None:
    model = make_model("cnn")
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 2.0)
    weight_hook = SparsityPenalty(model, l1, weight=0.5)
    weight_hook.add_gradients()
    for parameter in model.parameters():
        expected = 2.0 + 0.5 * parameter.detach().sign() if parameter.ndim > 1 else torch.full_like(parameter, 2.0)
        torch.testing.assert_close(parameter.grad, expected)
    value = sum(float(p.detach().abs().sum()) for p in model.parameters() if p.ndim > 1)
    assert weight_hook.metrics()["penalty"] == pytest.approx(0.5 * value, rel=FLOAT32)
