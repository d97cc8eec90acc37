"""The choice of units is exact: as many as asked for, the least, and of each dimension one stays."""

import pytest
import torch
from factories import make_model

from kd.config.propagation import Kind, Scope
from kd.models.dimensions import Dimension
from kd.propagation.choice import comparable, keep_by_scope, with_worth_of_kinds, without_the_least


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


def test_the_worth_of_kinds_by_hand() -> None:
    """Two layers of channels, whose units score 3 on average, and a width, whose units score 6."""
    kinds: dict[str, Kind] = {"first": "channels", "second": "channels", "width": "width"}
    scores = {"first": torch.tensor([1.0, 3.0]), "second": torch.tensor([5.0, 3.0]), "width": torch.tensor([8.0, 4.0])}
    dimensions = [Dimension(name, kind, len(scores[name]), "") for name, kind in kinds.items()]
    relative = {name: comparable(units) for name, units in scores.items()}
    found = {name: units.tolist() for name, units in with_worth_of_kinds(dimensions, scores, relative).items()}
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

    found = keep_by_scope(dimensions, scores, scope, to_go)  # type: ignore[arg-type]
    assert len(asked) == lots
    assert sorted(name for names in asked for name in names) == sorted(scores)
    assert sum(map(len, found.values())) == sum(d.size for d in dimensions) - lots
    assert list(found) == list(scores)
