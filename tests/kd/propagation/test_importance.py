"""Importance by hand: single weights, and units with all that they couple."""

from typing import get_args

import pytest
import torch
from factories import ENCODERS, calibrate, make_model
from scipy.spatial.distance import cdist
from torch import Tensor

from kd.config.propagation import (
    Calibrated,
    DataDriven,
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
from kd.models import Axis, Dimension
from kd.propagation.importance import (
    CRITERIA,
    geometric_median_distance,
    lamp,
    norm_scales,
    score_units,
    unit_scores,
    weight_scores,
)

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
    return Magnitude(by=by) if by in ("l1", "l2") else Calibrated(by=by)


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


def every_importance() -> dict[str, Importance]:
    """One of each that a params.yaml can name."""
    kinds, _ = get_args(Importance)
    return {by: kind(by=by) for kind in get_args(kinds) for by in get_args(kind.model_fields["by"].annotation)}


@pytest.mark.parametrize("by", every_importance())
def test_every_importance_of_the_settings_ranks_units(by: str) -> None:
    """By finite scores that differ, from calibration batches where it is driven by data."""
    model, chosen = make_model("cnn"), every_importance()[by]
    with torch.no_grad():
        for name in norm_scales(model):
            model.get_parameter(name).uniform_(0.5, 2.0)  # of a new model they are all 1
    statistics = calibrate(model, chosen) if isinstance(chosen, DataDriven) else None
    dimensions = [d for d in model.dimensions() if d.dim == "width"]
    scores = score_units(model, dimensions, chosen, statistics)
    assert {name: len(scores_S) for name, scores_S in scores.items()} == {d.name: d.size for d in dimensions}
    for scores_S in scores.values():
        assert scores_S.isfinite().all()
        assert len(scores_S.unique()) > 1


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
        if dimension.dim in model.settings.encoder.normed:
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


def test_geometric_median_distance_by_hand() -> None:
    """Units (0, 0), (3, 4) and (0, 8), formed in two tensors: distances 5, 8 and 5. What reads them does not count."""
    w, b = torch.tensor([[0.0], [3.0], [0.0]]), torch.tensor([0.0, 4.0, 8.0])
    axes = (Axis("w", 0), Axis("b", 0), Axis("v", 1, reads=True), Axis("not a parameter", 0))
    dimension = Dimension("d", "hidden", 3, "hidden", axes=axes)
    assert geometric_median_distance(dimension, {"w": w, "b": b, "v": torch.rand(9, 3)}).tolist() == [13.0, 10.0, 13.0]


def entries(axis: Axis, unit: int, size: int, weights: dict[str, Tensor]) -> Tensor:
    return weights[axis.tensor].index_select(axis.dim, axis.positions(torch.tensor([unit]), size)).flatten()


@pytest.mark.parametrize("name", ENCODERS)
def test_geometric_median_distance_is_of_differences_alone(name: str) -> None:
    """Against scipy's distances of the units' own rows; and the same for all units moved alike: no norm counts."""
    model = make_model(name, "keyword")
    weights = {key: p.detach() for key, p in model.named_parameters()}
    dimensions = [d for d in model.dimensions() if d.dim != "layers"]
    scores = score_units(model, dimensions, GeometricMedian(by="geometric_median"), None)
    for d in dimensions:
        formed = [axis for axis in d.axes if not axis.reads and axis.tensor in weights]
        rows = torch.stack([torch.cat([entries(a, unit, d.size, weights) for a in formed]) for unit in range(d.size)])
        expected = torch.from_numpy(cdist(rows.double(), rows.double()).sum(1)).float()
        torch.testing.assert_close(scores[d.name], expected, rtol=1e-4, atol=1e-5)
        moved = {key: w + 1.0 for key, w in weights.items()}
        torch.testing.assert_close(geometric_median_distance(d, moved), expected, rtol=1e-3, atol=1e-4)


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
        if dimension.dim == "layers":
            continue
        scores = {key: torch.ones_like(p) for key, p in model.named_parameters()}
        for axis in dimension.axes:
            if axis.tensor in scores:
                scores[axis.tensor].index_fill_(axis.dim, axis.positions(torch.tensor([0]), dimension.size), 0.0)
        units = unit_scores(dimension, scores)
        assert units[0] == 0
        assert (units[1:] > 0.5).all()
