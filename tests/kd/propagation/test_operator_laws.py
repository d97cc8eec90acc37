"""Operators find units that do nothing, and taking them away leaves no trace: every family and kind of dimension."""

from typing import Any

import pytest
import torch
from factories import ENCODERS, make_model, outputs
from pydantic import TypeAdapter

from kd.models import Dimension, Recogniser
from kd.propagation import Propagated, propagate
from kd.settings.propagation import Operator

CASES = [
    (name, kind)
    for name in ENCODERS
    for kind in dict.fromkeys(d.kind for d in make_model(name, "keyword").dimensions() if not d.caveat and d.axes)
]


def half_dead(model: Recogniser, kind: str) -> tuple[dict[str, list[int]], list[Dimension]]:
    """The weights of the first half of the units of this kind, set to zero; gives the units that are left."""
    dimensions = [d for d in model.dimensions() if d.kind == kind]
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


def assert_no_trace(model: Recogniser, kind: str, operator: dict[str, Any]) -> None:
    alive, dimensions = half_dead(model, kind)
    expected = outputs(model)
    (made,) = TypeAdapter(list[Operator]).validate_python([operator])
    result = propagate(Propagated(model), [made])
    assert {d.name: result.kept[0][d.name] for d in dimensions} == alive
    sizes = {d.name: d.size for d in result.model.dimensions() if d.kind == kind}
    assert sizes == {name: len(units) for name, units in alive.items()}
    for got, wanted in zip(outputs(result.model), expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("by", ["l1", "l2"])
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_pruning_takes_the_dead_units(name: str, kind: str, by: str) -> None:
    amount = {"threshold": 1e-9, "scope": "global"}
    operator = {"op": "prune_units", "kinds": [kind], "importance": {"by": by}, **amount}
    assert_no_trace(make_model(name, "keyword"), kind, operator)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_slice_by_importance_leaves_the_dead_units(name: str, kind: str) -> None:
    assert_no_trace(make_model(name, "keyword"), kind, {"op": "slice", "keep": {kind: 0.5}})
