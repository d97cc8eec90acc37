"""Slicing: which units each mode keeps, and how many."""

import pytest
import torch
from factories import ENCODERS, make_model
from pydantic import ValidationError

from kd.config.propagation import Magnitude, Slice
from kd.models import Dimension, Recogniser
from kd.propagation import Propagated, propagate
from kd.propagation.slicing import POSITIONS, choose_slice, count_to_keep, spaced

SIX = Dimension("six", "hidden", 6, "hidden")


def by_position(mode: str, size: int, keep: int, seed: int = 1) -> list[int]:
    return POSITIONS[mode](size, keep, torch.Generator().manual_seed(seed)).tolist()


def test_every_mode_is_tested() -> None:
    choices = Slice.model_fields["choose"].annotation.__args__
    assert set(choices) == {*POSITIONS, "importance"}


def test_sequences_by_hand() -> None:
    assert by_position("first", 6, 2) == [0, 1]
    assert by_position("last", 6, 2) == [4, 5]


@pytest.mark.parametrize(
    ("size", "keep", "expected"),
    [(6, 2, [0, 5]), (12, 4, [0, 4, 7, 11]), (32, 2, [0, 31]), (5, 3, [0, 2, 4]), (3, 3, [0, 1, 2]), (4, 1, [0])],
)
def test_spaced_by_hand(size: int, keep: int, expected: list[int]) -> None:
    assert spaced(size, keep).tolist() == expected


def test_spaced_never_doubles() -> None:
    for size in range(1, 40):
        for keep in range(1, size + 1):
            assert len(set(spaced(size, keep).tolist())) == keep


def test_random_is_drawn_in_order_by_its_seed() -> None:
    draws = [by_position("random", 50, 10, seed) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]
    assert all(d == sorted(set(d)) and len(d) == 10 and d[-1] < 50 for d in draws)
    often = torch.zeros(5)
    for seed in range(400):
        often[by_position("random", 5, 2, seed)] += 1
    assert (often > 110).all(), "each of 5 units is kept in about 2/5 of 400 draws"


def test_the_most_important_units_stay_in_order() -> None:
    model = make_model("gru")
    hidden = next(d for d in model.dimensions() if d.name == "layers.1.hidden")
    with torch.no_grad():
        for axis in hidden.axes:
            tensor = dict(model.named_parameters())[axis.tensor]
            for unit, size in enumerate([3, 9, 1, 5, 2, 8, 4]):
                tensor.index_fill_(axis.dim, axis.positions(torch.tensor([unit]), hidden.size), size)
    settings = Slice(op="slice", keep={"hidden": 3}, importance=Magnitude(by="l1"))
    assert choose_slice(model, settings)["layers.1.hidden"].tolist() == [1, 3, 5]


@pytest.mark.parametrize(("amount", "expected"), [(1, 1), (6, 6), (0.5, 3), (0.99, 6), (0.01, 1), (0.42, 3)])
def test_a_count_or_a_share(amount: float, expected: int) -> None:
    assert count_to_keep(SIX, Slice(op="slice", keep={"hidden": amount})) == expected


def test_more_than_there_is_names_the_key() -> None:
    with pytest.raises(ValueError, match=r"slice keeps 7 of 'six', which has only 6: lower keep.hidden"):
        count_to_keep(SIX, Slice(op="slice", keep={"hidden": 7}))


@pytest.mark.parametrize("amount", [0, -1, 1.0, 2.0, 0.0, float("nan"), "3"])
def test_an_amount_is_a_whole_number_or_a_share(amount: object) -> None:
    with pytest.raises(ValidationError, match=r"neither a count .* nor a share"):
        Slice.model_validate({"op": "slice", "keep": {"hidden": amount}})


def sizes(model: Recogniser) -> dict[str, int]:
    return {d.name: d.size for d in model.dimensions()}


@pytest.mark.parametrize("mode", [*POSITIONS, "importance"])
@pytest.mark.parametrize("name", ENCODERS)
def test_sizes_are_exact_after_slicing(name: str, mode: str) -> None:
    model = make_model(name, "keyword")
    dims = {d.dim for d in model.dimensions()}
    settings = Slice.model_validate({"op": "slice", "keep": dict.fromkeys(dims, 2), "choose": mode})
    result = propagate(Propagated(model), [settings])
    found = sizes(result.model)
    assert found == dict.fromkeys(found, 2)
    assert result.kept[0].keys() == sizes(model).keys()
    for name, tensor in result.model.state_dict().items():
        assert tensor.isfinite().all(), name
