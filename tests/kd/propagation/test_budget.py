"""Budgets: met by the resulting model, with no more units removed than needed, and refused where they cannot be."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Literal

import pytest
import torch
from factories import ENCODERS, make_model
from precision import FLOAT32
from torch import Tensor

from kd.config.frontend import FrontEndSettings
from kd.config.models import ModelSettings
from kd.config.propagation import Budget, Calibrated, Dim, GeometricMedian, Magnitude, PruneUnits
from kd.models import Recogniser, build
from kd.models.macs import count_params, macs_per_audio_second
from kd.propagation import Propagated, apply, propagate
from kd.propagation.budget import (
    Cost,
    Ranking,
    choose_least_within,
    choose_within,
    importance_kept,
    rank,
    weights_of_unit,
)
from kd.propagation.choice import comparable
from kd.propagation.importance import score_units, weight_worth

FRONTEND = FrontEndSettings()


def params(settings: ModelSettings) -> float:
    return float(count_params(build(settings))[0])


def macs(settings: ModelSettings) -> float:
    return macs_per_audio_second(build(settings), settings, FRONTEND)


MEASURES = {"params": params, "macs_per_audio_second": macs}


def dims_of(model: Recogniser) -> tuple[Dim, ...]:
    return tuple(dict.fromkeys(d.dim for d in model.dimensions()))


def halfway(model: Recogniser, cost: Cost) -> int:
    """A budget between the model and the smallest one that there is."""
    ranking = ranked(model, cost)
    smallest = ranking.settings(len(ranking.layers), len(ranking.units))
    return round((cost.of(model.settings) + cost.of(smallest)) / 2)


def ranked(model: Recogniser, cost: Cost) -> Ranking:
    return rank(model, by_l2(model), cost)


def by_l2(model: Recogniser) -> dict[str, Tensor]:
    scores = score_units(model, model.dimensions(), Magnitude(by="l2"), None)
    return {name: comparable(units) for name, units in scores.items()}


def squares(model: Recogniser) -> dict[str, Tensor]:
    return weight_worth(model, Magnitude(by="l2"), None)


def squares_kept(model: Recogniser, choice: Mapping[str, Tensor]) -> float:
    """By making a model of them: the sum of all squares left, each over the mean of its tensor."""
    scored = deepcopy(model)
    with torch.no_grad():
        for parameter in scored.parameters():
            parameter.square_().div_(parameter.mean() if bool(parameter.any()) else 1.0)
    return sum(float(p.detach().double().sum()) for p in apply(scored, choice).parameters())


def fewest(ranking: Ranking, layers: int, cost: Cost, most: float) -> int | None:
    """By trying all: how many units must go beside these layers; None where all are not enough."""
    counts = range(len(ranking.units) + 1)
    return next((n for n in counts if cost.of(ranking.settings(layers, n)) <= most), None)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("name", ENCODERS)
def test_a_budget_is_met_and_one_unit_more_would_not_meet_it(name: str, measure: str) -> None:
    model = make_model(name, "keyword")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    cost, dims = Cost(MEASURES[measure]), dims_of(model)
    most = halfway(model, cost)
    operator = PruneUnits(op="prune_units", dims=dims, budget=Budget(**{measure: most}))
    found = propagate(Propagated(model), [operator], costs=lambda *_: cost).model
    assert cost.of(found.settings) <= most
    if measure == "params":
        assert count_params(found)[0] <= most, "the model itself, not only its settings"
    ranking = ranked(model, cost)
    kept = {}
    for layers in range(len(ranking.layers) + 1):
        if (count := fewest(ranking, layers, cost, most)) is not None:
            kept[layers, count] = squares_kept(model, ranking.choice(layers, count))
    layers, count = max(kept, key=lambda depth: kept[depth])
    assert found.settings == ranking.settings(layers, count)
    assert count == 0 or cost.of(ranking.settings(layers, count - 1)) > most
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("estimate", [lambda p, _: 0.6 * p + 100, lambda p, whole: 0.3 * p + 0.7 * whole])
def test_a_wrong_estimate_is_corrected(estimate: Callable[[float, float], float]) -> None:
    """Whether it is too low or too high: then it would leave one unit of each dimension."""
    model = make_model("cnn", "keyword")
    exact = Cost(params)
    most = halfway(model, exact)
    whole = params(model.settings)
    cost = Cost(lambda s: estimate(params(s), whole), check=params)
    found = apply(model, choose_within(model, by_l2(model), squares(model), cost, Budget(params=most)))
    assert 0.8 * most <= count_params(found)[0] <= most


def test_a_layer_falls_where_it_costs_more_than_its_weights() -> None:
    """As time does: without one layer all the rest fits; with all of them hardly any unit would."""
    model = make_model("cnn", "keyword")
    cost = Cost(lambda s: params(s) + 0.9 * params(model.settings) * s.encoder.layers)
    ranking = ranked(model, cost)
    choice = choose_within(
        model, by_l2(model), squares(model), cost, Budget(params=round(cost.of(ranking.settings(1, 0))))
    )
    assert choice["layers"].tolist() == sorted({*range(model.settings.encoder.layers)} - {ranking.layers[0]})
    assert all(len(choice[d.name]) == d.size for d in model.dimensions() if d.dim in ("stem", "width"))


def test_layers_stay_where_narrower_ones_keep_more() -> None:
    """Half of the units of every layer hold next to nothing: they go, and no layer does, though some layer is least."""
    model = make_model("cnn", "keyword")
    hidden = [d for d in model.dimensions() if d.dim == "hidden"]
    lesser = {d.name: torch.arange(d.size // 2, d.size) for d in hidden}
    halved = {d.name: torch.arange(d.size // 2) for d in hidden}
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for dimension in hidden:
            for axis in dimension.axes:
                if axis.tensor in parameters:
                    where = axis.positions(lesser[dimension.name], dimension.size)
                    parameters[axis.tensor].index_fill_(axis.dim, where, 1e-6)
    most = params(apply(model, halved).settings)
    dims = {name: s for name, s in by_l2(model).items() if name == "layers" or name in halved}
    choice = choose_within(model, dims, squares(model), Cost(params), Budget(params=most))
    assert len(choice["layers"]) == model.settings.encoder.layers
    assert {name: choice[name].tolist() for name in halved} == {name: kept.tolist() for name, kept in halved.items()}


def test_layers_fall_where_narrower_ones_would_not_do() -> None:
    model = make_model("conformer", "keyword")
    cost = Cost(params)
    ranking = ranked(model, cost)
    most = params(ranking.settings(0, len(ranking.units))) - 1
    found = apply(model, choose_within(model, by_l2(model), squares(model), cost, Budget(params=most)))
    assert found.settings.encoder.layers < model.settings.encoder.layers
    assert params(found.settings) <= most


@pytest.mark.parametrize("name", ENCODERS)
def test_importance_kept_is_that_of_the_smaller_model(name: str) -> None:
    model = make_model(name, "keyword")
    choice = ranked(model, Cost(params)).choice(1, 5)
    assert importance_kept(model, squares(model), choice) == pytest.approx(squares_kept(model, choice), rel=FLOAT32)
    assert importance_kept(model, {}, choice) == 0.0
    assert weight_worth(model, GeometricMedian(by="geometric_median"), None).keys() == squares(model).keys()


def test_units_that_cost_more_go_first() -> None:
    """By hand: all are equally important; those of the width hold twice as many weights, at ten times the cost."""
    model = make_model("cnn", "keyword")
    dimensions = {d.dim: d for d in model.dimensions()}
    width, stem = dimensions["width"], dimensions["stem"]
    prices = {"width": 10 * weights_of_unit(model, width), "stem": weights_of_unit(model, stem)}
    scores = {dim: torch.ones(d.size) for dim, d in dimensions.items() if dim in prices}

    def cost(settings: ModelSettings) -> float:
        return sum(prices[dim] * getattr(settings.encoder, dim) for dim in prices)

    units = rank(model, scores, Cost(cost)).units
    assert [name for name, _ in units] == ["width"] * (width.size - 1) + ["stem"] * (stem.size - 1)


@pytest.mark.parametrize("by", ["taylor", "fisher"])
def test_the_dim_that_does_least_for_the_loss_goes_first(by: Literal["taylor", "fisher"]) -> None:
    """Feed-forward units change it a thousandth as much as all others, and go as far as they can before any other."""
    model = make_model("conformer", "keyword")
    within = {a.tensor for d in model.dimensions() if d.dim == "feed_forward" for a in d.axes}
    parameters = dict(model.named_parameters())
    statistics = {
        name: (1e-3 if name in within else 1.0) * torch.ones_like(p) / p.detach().abs().clamp(min=1e-6)
        for name, p in parameters.items()
    }
    bare = {d.name: torch.arange(1) for d in model.dimensions() if d.dim == "feed_forward"}
    budget = Budget(params=round(params(apply(model, bare).settings)))
    importance = Calibrated(by=by, batches=1)
    dims = tuple(dim for dim in dims_of(model) if dim != "layers")
    operator = PruneUnits(op="prune_units", dims=dims, importance=importance, budget=budget, cross_dim="loss")
    found = propagate(Propagated(model), [operator], lambda *_: statistics, lambda *_: Cost(params))
    sizes = {d.name: d.size for d in model.dimensions()}
    left = {name: len(kept) for name, kept in found.kept[0].items()}
    assert left == {name: 1 if name in bare else sizes[name] for name in left}
    thinned = operator.model_copy(update={"cross_dim": "equal"})
    alike = propagate(Propagated(model), [thinned], lambda *_: statistics, lambda *_: Cost(params)).kept[0]
    assert all(len(alike[name]) > 1 for name in bare), "where kinds are alike none is known to be worth less"


@pytest.mark.parametrize("name", ENCODERS)
def test_the_least_go_whatever_they_cost_and_no_more_than_must(name: str) -> None:
    model = make_model(name, "keyword")
    cost = Cost(params)
    scores = {d.name: torch.rand(d.size) for d in model.dimensions() if d.dim != "layers"}
    most = round(0.6 * cost.of(model.settings))
    kept = choose_least_within(model, scores, cost, Budget(params=most))
    left = apply(model, kept)
    assert params(left.settings) <= most
    gone = [value for key, s in scores.items() for i, value in enumerate(s.tolist()) if i not in kept[key]]
    spared = [float(s[i]) for key, s in scores.items() for i in kept[key].tolist() if i != int(s.argmax())]
    assert max(gone) < min(spared)
    key, unit = next((k, i) for k, s in scores.items() for i, value in enumerate(s.tolist()) if value == max(gone))
    kept[key] = torch.tensor(sorted([*kept[key].tolist(), unit]))
    assert params(apply(model, kept).settings) > most


@pytest.mark.parametrize(
    ("most", "message"),
    [(1, "budget params 1 cannot be met by removing hidden: the smallest reachable is"), (10**9, "is met already")],
)
def test_what_cannot_be_is_refused(most: int, message: str) -> None:
    operator = PruneUnits(op="prune_units", dims=("hidden",), budget=Budget(params=most))
    with pytest.raises(ValueError, match=message):
        propagate(Propagated(make_model("cnn", "keyword")), [operator], costs=lambda *_: Cost(params))
    model = make_model("cnn", "keyword")
    scores = {d.name: torch.rand(d.size) for d in model.dimensions() if d.dim == "hidden"}
    with pytest.raises(ValueError, match=message):
        choose_least_within(model, scores, Cost(params), Budget(params=most))


def test_a_budget_has_one_measure_and_is_the_only_amount() -> None:
    with pytest.raises(ValueError, match="give exactly one of params, size_bytes"):
        Budget(params=1, latency_ms=1.0)
    with pytest.raises(ValueError, match="found sparsity, budget"):
        PruneUnits(op="prune_units", dims=("hidden",), sparsity=0.5, budget=Budget(params=1))
    with pytest.raises(ValueError, match="remove scope"):
        PruneUnits(op="prune_units", dims=("hidden",), scope="layer", budget=Budget(params=1))
    plain = PruneUnits(op="prune_units", dims=("hidden",), sparsity=0.5)
    assert "budget" not in plain.model_dump(), "studies are known by the hash of their params"
    with pytest.raises(ValueError, match="cross_dim: loss needs a budget, and an importance that is of the loss"):
        PruneUnits(op="prune_units", dims=("hidden",), budget=Budget(params=1), cross_dim="loss")
    within = PruneUnits(op="prune_units", dims=("hidden",), budget=Budget(params=9))
    assert within.model_dump()["budget"] == {"params": 9}
    assert PruneUnits.model_validate(within.model_dump()) == within
