"""Importance by hand: single weights, units with all that they couple, and gradients against autograd."""

from collections.abc import Callable

import pytest
import torch
from factories import ENCODERS, make_features, make_model
from scipy.spatial.distance import cdist
from torch import Tensor

from kd.config.propagation import (
    Calibrated,
    GeometricMedian,
    Importance,
    Magnitude,
    Movement,
    NormScale,
    PruneUnits,
    PruneWeights,
    Random,
    Slice,
)
from kd.models import Axis, Dimension, Recogniser
from kd.propagation.calibration import gather, input_sizes, mean_gradients, movement
from kd.propagation.importance import CRITERIA, lamp, norm_scales, remoteness, score_units, unit_scores, weight_scores

WEIGHT = torch.tensor([[1.0, -2.0], [0.0, 0.5]])
GRADIENT = torch.tensor([[-3.0, 0.5], [4.0, -1.0]])

BY_HAND = {
    "l1": [[1.0, 2.0], [0.0, 0.5]],
    "l2": [[1.0, 4.0], [0.0, 0.25]],
    "gradient": [[3.0, 0.5], [4.0, 1.0]],
    "taylor": [[9.0, 1.0], [0.0, 0.25]],
    "fisher": [[9.0, 1.0], [0.0, 0.25]],
    "activation": [[3.0, 1.0], [0.0, 0.5]],
    "movement": [[-3.0, 0.5], [4.0, -1.0]],
}
CALIBRATION_STATISTICS = {"activation": [[3.0, 0.5], [4.0, 1.0]], "fisher": [[9.0, 0.25], [16.0, 1.0]]}


def importance(by: str) -> Importance:
    if by == "movement":
        return Movement(by="movement")
    return Magnitude(by=by) if by in ("l1", "l2") else Calibrated(by=by)  # type: ignore[arg-type]


def test_every_criterion_is_tested() -> None:
    assert {*BY_HAND, "lamp"} == set(CRITERIA)


@pytest.mark.parametrize("by", BY_HAND)
def test_weights_by_hand(by: str) -> None:
    model = make_model("gru")
    gradients = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    name = "encoder.layers.1.ahead.weight_ih_l0"
    with torch.no_grad():
        model.get_parameter(name)[:2, :2] = WEIGHT
    gradients[name][:2, :2] = torch.tensor(CALIBRATION_STATISTICS[by]) if by in CALIBRATION_STATISTICS else GRADIENT
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


def test_lamp_by_hand() -> None:
    """Squares 1, 4, 0, 9: the largest is 1 of itself, then 4/13, 1/14 and 0."""
    expected = torch.tensor([[1 / 14, 4 / 13], [0.0, 1.0]])
    torch.testing.assert_close(lamp(torch.tensor([[1.0, -2.0], [0.0, 3.0]])), expected)


def test_lamp_keeps_every_tensors_largest_weight() -> None:
    """However small a tensor's weights are beside those of others."""
    model = make_model("gru")
    with torch.no_grad():
        model.head.weight.mul_(1e-4)
    scores = weight_scores(model, Magnitude(by="lamp"), None)
    assert all(float(s.max()) == 1.0 for s in scores.values() if s.any())
    assert scores["head.weight"].argmax() == model.head.weight.abs().argmax()


@pytest.mark.parametrize("name", ENCODERS)
def test_norms_score_what_they_scale_and_nothing_else(name: str) -> None:
    model = make_model(name, "keyword")
    scores = weight_scores(model, NormScale(by="norm"), None)
    assert scores.keys() == set(norm_scales(model))
    for dimension in model.dimensions():
        if dimension.kind in model.settings.encoder.normed:
            assert unit_scores(dimension, scores).shape == (dimension.size,)
        else:
            with pytest.raises(ValueError, match=f"no norm scales '{dimension.name}'"):
                unit_scores(dimension, scores)


@pytest.mark.parametrize("by", ["gradient", "taylor", "fisher", "activation", "movement"])
def test_data_driven_importance_needs_gradients(by: str) -> None:
    with pytest.raises(ValueError, match=f"importance '{by}' needs calibration batches"):
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


def test_remoteness_by_hand() -> None:
    """Units (0, 0), (3, 4) and (0, 8), formed in two tensors: distances 5, 8 and 5. What reads them does not count."""
    w, b = torch.tensor([[0.0], [3.0], [0.0]]), torch.tensor([0.0, 4.0, 8.0])
    axes = (Axis("w", 0), Axis("b", 0), Axis("v", 1, reads=True), Axis("not a parameter", 0))
    dimension = Dimension("d", "hidden", 3, "hidden", axes=axes)
    assert remoteness(dimension, {"w": w, "b": b, "v": torch.rand(9, 3)}).tolist() == [13.0, 10.0, 13.0]


def entries(axis: Axis, unit: int, size: int, weights: dict[str, Tensor]) -> Tensor:
    return weights[axis.tensor].index_select(axis.dim, axis.positions(torch.tensor([unit]), size)).flatten()


@pytest.mark.parametrize("name", ENCODERS)
def test_remoteness_is_of_differences_alone(name: str) -> None:
    """Against scipy's distances of the units' own rows; and the same for all units moved alike: no norm counts."""
    model = make_model(name, "keyword")
    weights = {key: p.detach() for key, p in model.named_parameters()}
    dimensions = [d for d in model.dimensions() if d.kind != "layers"]
    scores = score_units(model, dimensions, GeometricMedian(by="geometric_median"), None)
    for d in dimensions:
        formed = [axis for axis in d.axes if not axis.reads and axis.tensor in weights]
        rows = torch.stack([torch.cat([entries(a, unit, d.size, weights) for a in formed]) for unit in range(d.size)])
        expected = torch.from_numpy(cdist(rows.double(), rows.double()).sum(1)).float()
        torch.testing.assert_close(scores[d.name], expected, rtol=1e-4, atol=1e-5)
        moved = {key: w + 1.0 for key, w in weights.items()}
        torch.testing.assert_close(remoteness(d, moved), expected, rtol=1e-3, atol=1e-4)


def test_what_has_no_geometric_median_is_refused() -> None:
    by = GeometricMedian(by="geometric_median")
    with pytest.raises(ValueError, match="geometric_median is of whole units, not single weights"):
        PruneWeights(op="prune_weights", sparsity=0.5, importance=by)
    with pytest.raises(ValueError, match="layers may differ in theirs"):
        PruneUnits(op="prune_units", dims=("layers", "hidden"), sparsity=0.5, importance=by)
    with pytest.raises(ValueError, match="layers may differ in theirs"):
        Slice(op="slice", keep={"layers": 2}, importance=by)


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


def loss_of(row: int) -> Callable[[Recogniser], Tensor]:
    features, lengths = make_features()

    def loss(model: Recogniser) -> Tensor:
        return model(features[row : row + 1], lengths[row : row + 1])[0].square().mean()  # type: ignore[no-any-return]

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
    """Two steps of a linear loss: -w c at the first, -(w - rate c') c' at the second, c' the clipped gradient."""
    model = make_model("gru")
    factors, linear = linear_loss(model)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    moved = movement(model, [linear, linear], rate=0.1)
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
    with pytest.raises(ValueError, match="no calibration batch: importance needs at least one"):
        gather(make_model("cnn"), importance(by), [])  # type: ignore[arg-type]
