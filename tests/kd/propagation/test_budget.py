"""Budgets: met by the resulting model, with no more units removed than needed, and refused where they cannot be."""

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
    count = next(i for i in range(len(ranking.units) + 1) if ranking.settings(i) == found.settings)
    assert cost.of(ranking.settings(count - 1)) > most
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_an_estimate_that_is_too_low_is_corrected() -> None:
    model = make_model("cnn", "keyword")
    exact = Cost(params)
    most = halfway(model, exact)
    cost = Cost(lambda s: 0.6 * params(s) + 100, check=params)
    found = apply(model, choose_within(model, by_l2(model), cost, Budget(params=most)))
    assert 0.8 * most <= count_params(found)[0] <= most


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
