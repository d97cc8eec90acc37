"""The choice of units is exact: as many as asked for, the least, and of each dimension one stays.

A share of parameters is met with as few as that takes.
"""

import pytest
import torch
from factories import make_model

from kd.config.propagation import Dim, Scope
from kd.models.dimensions import Dimension
from kd.propagation import apply
from kd.propagation.choice import (
    comparable,
    dimensions_of,
    keep_by_scope,
    keep_by_sparsity,
    params_left,
    with_worth_of_dims,
    without_the_least,
)
from kd.propagation.sizes import Sizes


def kept(scores: dict[str, list[float]], count: int) -> dict[str, list[int]]:
    found = without_the_least({name: torch.tensor(s) for name, s in scores.items()}, count)
    return {name: indices.tolist() for name, indices in found.items()}


def test_the_least_go_by_hand() -> None:
    scores = {"a": [3.0, 1.0, 2.0], "b": [0.5, 0.1]}
    assert kept(scores, 0) == {"a": [0, 1, 2], "b": [0, 1]}
    assert kept(scores, 2) == {"a": [0, 2], "b": [0]}
    assert kept(scores, 3) == {"a": [0], "b": [0]}, "b's last unit is the least of all, and stays"
    assert kept({"a": [1.0, 1.0, 1.0]}, 1) == {"a": [0, 2]}, "of equals the best one is the first"


def test_more_than_can_go_is_refused() -> None:
    with pytest.raises(ValueError, match="4 units cannot go: of each dimension one must stay, so that at most 3 can"):
        kept({"a": [3.0, 1.0, 2.0], "b": [0.5, 0.1]}, 4)


def test_comparable_scores_by_hand() -> None:
    assert comparable(torch.tensor([1.0, 3.0])).tolist() == [0.5, 1.5]
    assert comparable(torch.tensor([-3.0, -1.0, -2.0])).tolist() == [0.0, 2.0, 1.0], "moved up to 0, 2, 1"
    assert comparable(torch.zeros(2)).tolist() == [0.0, 0.0]


def test_the_worth_of_dims_by_hand() -> None:
    """Two layers of channels, whose units score 3 on average, and a width, whose units score 6."""
    dims: dict[str, Dim] = {"first": "channels", "second": "channels", "width": "width"}
    scores = {"first": torch.tensor([1.0, 3.0]), "second": torch.tensor([5.0, 3.0]), "width": torch.tensor([8.0, 4.0])}
    dimensions = [Dimension(name, dim, len(scores[name]), "") for name, dim in dims.items()]
    relative = {name: comparable(units) for name, units in scores.items()}
    found = {name: units.tolist() for name, units in with_worth_of_dims(dimensions, scores, relative).items()}
    assert found == {"first": [1.5, 4.5], "second": [3.75, 2.25], "width": [8.0, 4.0]}


@pytest.mark.parametrize(("scope", "lots"), [("global", 1), ("kind", 4), ("layer", 6)])
def test_a_scope_ranks_its_dimensions_together(scope: Scope, lots: int) -> None:
    """A cnn of three layers: layers, stem and width have a dimension each, the hidden units three."""
    dimensions = make_model("cnn").dimensions()
    scores = {d.name: torch.arange(1.0, d.size + 1) for d in dimensions}
    asked: list[tuple[str, ...]] = []

    def to_go(names: list[str]) -> int:
        asked.append(tuple(names))
        return 1

    found = keep_by_scope(dimensions, scores, scope, to_go)
    assert len(asked) == lots
    assert sorted(name for names in asked for name in names) == sorted(scores)
    assert sum(map(len, found.values())) == sum(d.size for d in dimensions) - lots
    assert list(found) == list(scores)


@pytest.mark.parametrize("sparsity", [0.05, 0.3, 0.5])
def test_a_share_of_parameters_is_met_with_as_many_units_as_it_allows(sparsity: float) -> None:
    model = make_model("gru")
    dimensions = dimensions_of(model, ("hidden", "stem"))
    sizes = Sizes.of(model, dimensions)
    generator = torch.Generator().manual_seed(1)
    scores = {d.name: torch.rand(d.size, generator=generator) for d in dimensions}
    choice = keep_by_sparsity(sizes, scores, sparsity, "params")
    gone = sizes.units - sum(len(indices) for indices in choice.values())
    size = sum(p.numel() for p in apply(model, choice).parameters())
    most = (1 - sparsity) * sizes.total
    assert size == params_left(sizes, scores, gone) <= most < params_left(sizes, scores, gone - 1)


def test_a_share_that_is_out_of_reach_is_refused() -> None:
    model = make_model("cnn")
    dimensions = dimensions_of(model, ("hidden",))
    scores = {d.name: torch.rand(d.size) for d in dimensions}
    with pytest.raises(ValueError, match=r"sparsity 0.9 of 1708 parameters cannot be reached: with one unit of each"):
        keep_by_sparsity(Sizes.of(model, dimensions), scores, 0.9, "params")


def test_a_dim_that_the_model_has_not_is_named() -> None:
    with pytest.raises(ValueError, match="cnn has no dimension 'heads': choose from layers, stem, width, hidden"):
        dimensions_of(make_model("cnn"), ("heads",))
