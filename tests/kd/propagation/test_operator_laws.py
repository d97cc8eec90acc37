"""Every family, operator and dim: what does nothing leaves no trace, and what was kept is what the operator says."""

from functools import cache
from typing import Any

import pytest
import torch
from factories import ENCODERS, calibrate, make_model, outputs
from pydantic import TypeAdapter

from kd.config.propagation import Calibrated, Movement, Operator
from kd.models import Dimension, Recogniser
from kd.propagation import Propagated, apply, propagate
from kd.propagation.slicing import POSITIONS

CASES = [
    (name, dim)
    for name in ENCODERS
    for dim in dict.fromkeys(d.dim for d in make_model(name, "keyword").dimensions() if not d.caveat and d.axes)
]


def half_dead(model: Recogniser, dim: str) -> tuple[dict[str, list[int]], list[Dimension]]:
    """The weights of the first half of the units of this dim, set to zero; gives the units that are left."""
    dimensions = [d for d in model.dimensions() if d.dim == dim]
    parameters = dict(model.named_parameters())
    alive = {}
    with torch.no_grad():
        for d in dimensions:
            dead = torch.arange(d.size - max(1, round(0.5 * d.size)))
            alive[d.name] = list(range(len(dead), d.size))
            for axis in d.axes:
                if axis.tensor in parameters:
                    parameters[axis.tensor].index_fill_(axis.dim, axis.positions(dead, d.size), 0.0)
    return alive, dimensions


def assert_no_trace(model: Recogniser, dim: str, operator: dict[str, Any]) -> None:
    alive, dimensions = half_dead(model, dim)
    expected = outputs(model)
    (made,) = TypeAdapter(list[Operator]).validate_python([operator])
    result = propagate(Propagated(model), [made])
    assert {d.name: result.kept[0][d.name] for d in dimensions} == alive
    sizes = {d.name: d.size for d in result.model.dimensions() if d.dim == dim}
    assert sizes == {name: len(units) for name, units in alive.items()}
    for got, wanted in zip(outputs(result.model), expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("by", ["l1", "l2"])
@pytest.mark.parametrize(("name", "dim"), CASES)
def test_pruning_takes_the_dead_units(name: str, dim: str, by: str) -> None:
    amount = {"threshold": 1e-9, "scope": "global"}
    operator = {"op": "prune_units", "dims": [dim], "importance": {"by": by}, **amount}
    assert_no_trace(make_model(name, "keyword"), dim, operator)


@pytest.mark.parametrize(("name", "dim"), CASES)
def test_a_slice_by_importance_leaves_the_dead_units(name: str, dim: str) -> None:
    assert_no_trace(make_model(name, "keyword"), dim, {"op": "slice", "keep": {dim: 0.5}})


def each_alone(dim: str, normed: tuple[str, ...]) -> list[dict[str, Any]]:
    """Every slice and pruning of units that this dim alone can have."""
    calibrated = ("gradient", "taylor", "fisher", "activation", "movement")
    bys = ["random", "l1", "l2", "lamp", *calibrated]
    bys += ["geometric_median"] * (dim != "layers") + ["norm"] * (dim in normed)
    importances = [{"by": by, "batches": 1} if by in calibrated else {"by": by} for by in bys]
    keep: dict[str, Any] = {"op": "slice", "keep": {dim: 1 if dim == "layers" else 2}}
    prune: dict[str, Any] = {"op": "prune_units", "dims": [dim], "sparsity": 0.4}
    return [
        *({**keep, "choose": choose} for choose in POSITIONS),
        *({**keep, "importance": importance} for importance in importances),
        *({**prune, "importance": importance} for importance in importances),
        *({**prune, "scope": scope} for scope in ("kind", "layer")),
    ]


@pytest.mark.parametrize("name", ENCODERS)
def test_an_operator_says_exactly_what_it_kept(name: str) -> None:
    """Its record, applied to the source, gives its model to the bit; every dimension has the size that it says."""
    model = make_model(name, "keyword")
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    sizes = {d.name: d.size for d in model.dimensions()}
    known = cache(lambda by: calibrate(model, Movement(by=by) if by == "movement" else Calibrated(by=by, batches=1)))
    for dim in dict.fromkeys(d.dim for d in model.dimensions()):
        for data in each_alone(dim, model.settings.encoder.normed):
            (operator,) = TypeAdapter(list[Operator]).validate_python([data])
            result = propagate(Propagated(model), [operator], lambda _, importance: known(importance.by))
            kept = {key: torch.tensor(units) for key, units in result.kept[0].items()}
            assert set(kept) == {d.name for d in model.dimensions() if d.dim == dim}, data
            again = apply(model, kept)
            assert again.settings == result.model.settings, data
            expected = again.state_dict()
            for key, tensor in result.model.state_dict().items():
                assert torch.equal(tensor, expected[key]), (data, key)
            if dim != "layers":
                found = {d.name: d.size for d in result.model.dimensions()}
                assert found == sizes | {key: len(units) for key, units in kept.items()}, data
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
