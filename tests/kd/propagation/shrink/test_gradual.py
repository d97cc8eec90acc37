"""The cubic schedule, and steps that end at exact numbers of units."""

import pytest
import torch
from factories import make_model

from kd.config.propagation import PruneUnits
from kd.propagation import apply
from kd.propagation.pruning import choose_units
from kd.propagation.shrink.gradual import cubic, cuts, units_left


def test_the_cubic_schedule_by_hand() -> None:
    assert [cubic(0.0, 0.8, step, 2) for step in (1, 2)] == pytest.approx([0.7, 0.8])
    assert cubic(0.5, 0.9, 1, 2) == pytest.approx(0.85)
    assert cubic(0.1, 0.37, 5, 5) == 0.37


def test_cuts_are_evenly_spaced_and_the_last_ends_the_phase() -> None:
    assert cuts(10, 5) == (2, 4, 6, 8, 10)
    assert cuts(7, 3) == (2, 5, 7)
    assert cuts(3, 3) == (1, 2, 3)


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_steps_end_where_one_step_would(scope: str) -> None:
    """In number; by random importance, which does not look at the weights."""
    importance = {"by": "random", "seed": 3}
    data = {"op": "prune_units", "dims": ["hidden"], "sparsity": 0.6, "scope": scope, "importance": importance}
    settings = PruneUnits.model_validate(data)
    model = make_model("cnn")
    sizes = {d.name: d.size for d in model.dimensions() if d.dim == "hidden"}
    for sparsity in (0.35, 0.35, 0.5, 0.6):
        choice = units_left(model, settings, None, sizes, sparsity)
        model = apply(model, choice)
        left = {d.name: d.size for d in model.dimensions() if d.dim == "hidden"}
        if scope == "layer":
            assert left == {name: size - round(sparsity * size) for name, size in sizes.items()}
        else:
            assert sum(left.values()) == sum(sizes.values()) - round(sparsity * sum(sizes.values()))


def test_the_least_important_go_first() -> None:
    model = make_model("cnn")
    with torch.no_grad():
        model.get_parameter("encoder.layers.1.expand.weight")[2].zero_()
        model.get_parameter("encoder.layers.1.contract.weight")[:, 2].zero_()
        model.get_parameter("encoder.layers.1.expand.bias")[2] = 0.0
    data = {"op": "prune_units", "dims": ["hidden"], "sparsity": 0.04, "importance": {"by": "l2"}}
    sizes = {d.name: d.size for d in model.dimensions() if d.dim == "hidden"}
    choice = units_left(model, PruneUnits.model_validate(data), None, sizes, 0.04)
    assert choice["layers.1.hidden"].tolist() == [0, 1, 3, 4, 5, 6]
    assert sum(map(len, choice.values())) == 25


def test_by_layer_one_unit_of_each_stays_as_where_they_are_pruned_at_once() -> None:
    data = {"op": "prune_units", "dims": ["hidden"], "sparsity": 0.99, "scope": "layer", "importance": {"by": "l2"}}
    model, settings = make_model("cnn"), PruneUnits.model_validate(data)
    sizes = {d.name: d.size for d in model.dimensions() if d.dim == "hidden"}
    choice = units_left(model, settings, None, sizes, 0.99)
    assert {name: len(kept) for name, kept in choice.items()} == dict.fromkeys(sizes, 1)
    at_once = choose_units(model, settings)
    assert {name: kept.tolist() for name, kept in choice.items()} == {n: kept.tolist() for n, kept in at_once.items()}
