"""Budgets: met by the resulting model, with no more units removed than needed, and refused where they cannot be."""

from collections.abc import Callable

import pytest
import torch
from factories import ENCODERS, make_model
from torch import Tensor

from kd.macs import count_params, macs_per_audio_second
from kd.models import Recogniser, build
from kd.propagation import Propagated, apply, propagate
from kd.propagation.budget import Cost, Ranking, choose_within, rank, weights_of_unit
from kd.propagation.importance import score_units
from kd.settings.frontend import FrontEndSettings
from kd.settings.models import ModelSettings
from kd.settings.propagation import Budget, Kind, Magnitude, PruneUnits

FRONTEND = FrontEndSettings()


def params(settings: ModelSettings) -> float:
    return float(count_params(build(settings))[0])


def macs(settings: ModelSettings) -> float:
    return macs_per_audio_second(build(settings), settings, FRONTEND)


MEASURES = {"params": params, "macs_per_audio_second": macs}


def kinds_of(model: Recogniser) -> tuple[Kind, ...]:
    return tuple(dict.fromkeys(d.kind for d in model.dimensions()))


def halfway(model: Recogniser, cost: Cost) -> int:
    """A budget between the model and the smallest one that there is."""
    ranking = ranked(model, cost)
    return round((cost.of(model.settings) + cost.of(ranking.settings(len(ranking.units)))) / 2)


def ranked(model: Recogniser, cost: Cost) -> Ranking:
    return rank(model, by_l2(model), cost)


def by_l2(model: Recogniser) -> dict[str, Tensor]:
    return score_units(model, model.dimensions(), Magnitude(by="l2"), None)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("name", ENCODERS)
def test_a_budget_is_met_and_one_unit_more_would_not_meet_it(name: str, measure: str) -> None:
    model = make_model(name, "keyword")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    cost, kinds = Cost(MEASURES[measure]), kinds_of(model)
    most = halfway(model, cost)
    operator = PruneUnits(op="prune_units", kinds=kinds, budget=Budget(**{measure: most}))
    found = propagate(Propagated(model), [operator], costs=lambda *_: cost).model
    assert cost.of(found.settings) <= most
    if measure == "params":
        assert count_params(found)[0] <= most, "the model itself, not only its settings"
    ranking = ranked(model, cost)
    prefix = next(i for i in range(len(ranking.units) + 1) if cost.of(ranking.settings(i)) <= most)
    ranking = ranking.layers_first(prefix)
    count = next(i for i in range(prefix + 1) if ranking.settings(i) == found.settings)
    assert cost.of(ranking.settings(count - 1)) > most
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("estimate", [lambda p, _: 0.6 * p + 100, lambda p, whole: 0.3 * p + 0.7 * whole])
def test_a_wrong_estimate_is_corrected(estimate: Callable[[float, float], float]) -> None:
    """Whether it is too low or too high: then it would leave one unit of each dimension."""
    model = make_model("cnn", "keyword")
    exact = Cost(params)
    most = halfway(model, exact)
    whole = params(model.settings)
    cost = Cost(lambda s: estimate(params(s), whole), check=params)
    found = apply(model, choose_within(model, by_l2(model), cost, Budget(params=most)))
    assert 0.8 * most <= count_params(found)[0] <= most


def test_units_come_back_when_a_layer_falls() -> None:
    """Units are ranked below the layers here, so that all have gone when a layer, too much, falls in the end."""
    model = make_model("conformer", "keyword")
    cost = Cost(params)
    sizes = {d.name: d.size for d in model.dimensions()}
    layers = [("layers", i) for i in range(sizes["layers"] - 1)]
    units = [(name, i) for name, size in sizes.items() if name != "layers" for i in range(size - 1)]
    ranking = Ranking(model, {d.name: d for d in model.dimensions()}, (*units[:5], *layers, *units[5:]))
    most = cost.of(ranking.settings(6)) + 0.5 * (cost.of(ranking.settings(5)) - cost.of(ranking.settings(6)))
    first = ranking.layers_first(6)
    assert first.units[:6] == (layers[0], *units[:5])
    assert sorted(first.units) == sorted(ranking.units)
    kept = {name: len(k) for name, k in first.choice(1).items()}
    assert cost.of(first.settings(1)) <= most
    assert kept == sizes | {"layers": sizes["layers"] - 1}, "the layer alone is enough: the five units stay"


def test_units_that_cost_more_go_first() -> None:
    """By hand: all are equally important; those of the width hold twice as many weights, at ten times the cost."""
    model = make_model("cnn", "keyword")
    dimensions = {d.kind: d for d in model.dimensions()}
    width, stem = dimensions["width"], dimensions["stem"]
    prices = {"width": 10 * weights_of_unit(model, width), "stem": weights_of_unit(model, stem)}
    scores = {kind: torch.ones(d.size) for kind, d in dimensions.items() if kind in prices}

    def cost(settings: ModelSettings) -> float:
        return sum(prices[kind] * getattr(settings.encoder, kind) for kind in prices)

    units = rank(model, scores, Cost(cost)).units
    assert [name for name, _ in units] == ["width"] * (width.size - 1) + ["stem"] * (stem.size - 1)


@pytest.mark.parametrize(
    ("most", "message"),
    [(1, "budget params 1 cannot be met by removing hidden: the smallest reachable is"), (10**9, "is met already")],
)
def test_what_cannot_be_is_refused(most: int, message: str) -> None:
    operator = PruneUnits(op="prune_units", kinds=("hidden",), budget=Budget(params=most))
    with pytest.raises(ValueError, match=message):
        propagate(Propagated(make_model("cnn", "keyword")), [operator], costs=lambda *_: Cost(params))


def test_a_budget_has_one_measure_and_is_the_only_amount() -> None:
    with pytest.raises(ValueError, match="give exactly one of params, size_bytes"):
        Budget(params=1, latency_ms=1.0)
    with pytest.raises(ValueError, match="only one of them"):
        PruneUnits(op="prune_units", kinds=("hidden",), sparsity=0.5, budget=Budget(params=1))
    with pytest.raises(ValueError, match="remove scope"):
        PruneUnits(op="prune_units", kinds=("hidden",), scope="layer", budget=Budget(params=1))
    plain = PruneUnits(op="prune_units", kinds=("hidden",), sparsity=0.5)
    assert "budget" not in plain.model_dump(), "studies are known by the hash of their params"
    within = PruneUnits(op="prune_units", kinds=("hidden",), budget=Budget(params=9))
    assert within.model_dump()["budget"] == {"params": 9}
    assert PruneUnits.model_validate(within.model_dump()) == within
