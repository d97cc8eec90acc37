"""Importance by hand: single weights, units with all that they couple, and gradients against autograd."""

import pytest
import torch
from factories import ENCODERS, make_features, make_model
from torch import Tensor

from kd.models import Axis, Dimension, Recogniser
from kd.propagation.importance import CRITERIA, mean_gradients, unit_scores, weight_scores
from kd.settings.propagation import DataDriven, Importance, Magnitude, Random

WEIGHT = torch.tensor([[1.0, -2.0], [0.0, 0.5]])
GRADIENT = torch.tensor([[-3.0, 0.5], [4.0, -1.0]])

BY_HAND = {
    "l1": [[1.0, 2.0], [0.0, 0.5]],
    "l2": [[1.0, 4.0], [0.0, 0.25]],
    "gradient": [[3.0, 0.5], [4.0, 1.0]],
    "taylor": [[9.0, 1.0], [0.0, 0.25]],
}


def importance(by: str) -> Importance:
    return Magnitude(by=by) if by in ("l1", "l2") else DataDriven(by=by)  # type: ignore[arg-type]


def test_every_criterion_is_tested() -> None:
    assert set(BY_HAND) == set(CRITERIA)


@pytest.mark.parametrize("by", BY_HAND)
def test_weights_by_hand(by: str) -> None:
    model = make_model("gru")
    gradients = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    name = "encoder.layers.1.ahead.weight_ih_l0"
    with torch.no_grad():
        model.get_parameter(name)[:2, :2] = WEIGHT
    gradients[name][:2, :2] = GRADIENT
    scores = weight_scores(model, importance(by), gradients)
    assert scores[name][:2, :2].tolist() == BY_HAND[by]
    assert scores.keys() == dict(model.named_parameters()).keys()


def test_random_importance_follows_its_seed_alone() -> None:
    first, again, other_weights, other_seed = (
        weight_scores(make_model("cnn", seed=s), Random(by="random", seed=r), None)["head.weight"]
        for s, r in ((0, 1), (0, 1), (7, 1), (0, 2))
    )
    assert torch.equal(first, again)
    assert torch.equal(first, other_weights)
    assert not torch.equal(first, other_seed)
    assert ((first >= 0) & (first < 1)).all()


@pytest.mark.parametrize("by", ["gradient", "taylor"])
def test_data_driven_importance_needs_gradients(by: str) -> None:
    with pytest.raises(ValueError, match=f"importance '{by}' needs gradients from calibration batches"):
        weight_scores(make_model("cnn"), importance(by), None)


def test_a_unit_is_the_mean_of_all_it_couples() -> None:
    """Two units of two entries in two runs along axis 0 of `w`, and one column each of `v`: for unit 0 rows
    0, 1, 4, 5 of w and column 0 of v."""
    w = torch.tensor([[1.0], [2.0], [10.0], [20.0], [3.0], [4.0], [30.0], [40.0]])
    v = torch.tensor([[5.0, 50.0], [6.0, 60.0]])
    axes = (Axis("w", 0, unit=2, blocks=2), Axis("v", 1, reads=True), Axis("not a parameter", 0))
    dimension = Dimension("d", "hidden", 2, "hidden", axes=axes)
    expected = [(1 + 2 + 3 + 4 + 5 + 6) / 6, (10 + 20 + 30 + 40 + 50 + 60) / 6]
    assert unit_scores(dimension, {"w": w, "v": v}).tolist() == expected


def test_a_layer_is_the_mean_of_its_weights() -> None:
    scores = {
        "encoder.layers.0.a": torch.tensor([1.0, 3.0]),
        "encoder.layers.0.b": torch.tensor([[8.0]]),
        "encoder.layers.1.a": torch.tensor([5.0]),
        "encoder.layers.10.a": torch.tensor([100.0]),
        "head.weight": torch.tensor([1000.0]),
    }
    assert unit_scores(Dimension("layers", "layers", 2, "layers"), scores).tolist() == [4.0, 5.0]


@pytest.mark.parametrize("name", ENCODERS)
def test_a_unit_without_weights_scores_nothing(name: str) -> None:
    """Zeroing all that a dimension couples to unit 0 makes its score 0, and only its."""
    model = make_model(name, "keyword")
    for dimension in model.dimensions():
        if dimension.kind == "layers":
            continue
        scores = {key: torch.ones_like(p) for key, p in model.named_parameters()}
        for axis in dimension.axes:
            if axis.tensor in scores:
                scores[axis.tensor].index_fill_(axis.dim, axis.positions(torch.tensor([0]), dimension.size), 0.0)
        units = unit_scores(dimension, scores)
        assert units[0] == 0
        assert (units[1:] > 0.5).all()


def losses(model: Recogniser) -> list[Tensor]:
    features, lengths = make_features()
    return [model(features[b : b + 1], lengths[b : b + 1])[0].square().mean() for b in range(3)]


def test_gradients_are_autograds_mean() -> None:
    model = make_model("conformer")
    got = mean_gradients(model, [lambda loss=loss: loss for loss in losses(model)])
    assert all(p.grad is None for p in model.parameters()), "the model's own gradients stay as they were"
    torch.stack(losses(model)).mean().backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(got[name], parameter.grad, rtol=1e-4, atol=1e-7)


def test_taylor_by_hand() -> None:
    """A loss that is linear in the weights, Σ c w: its gradient is c, so Taylor is (c w)²."""
    model = make_model("gru")
    parameters = dict(model.named_parameters())
    generator = torch.Generator().manual_seed(8)
    factors = {name: torch.randn(p.shape, generator=generator) for name, p in parameters.items()}

    def linear() -> Tensor:
        return torch.stack([(factors[name] * p).sum() for name, p in parameters.items()]).sum()

    scores = weight_scores(model, DataDriven(by="taylor"), mean_gradients(model, [linear, linear]))
    for name, parameter in parameters.items():
        torch.testing.assert_close(scores[name], (factors[name] * parameter.detach()) ** 2)


def test_no_calibration_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="no calibration batch: gradients need at least one"):
        mean_gradients(make_model("cnn"), [])
