"""Expected sizes: exact for units that are there or not, and right on average for units drawn at random."""

import math

import pytest
import torch
from factories import ENCODERS, make_model

from kd.models import Dimension, Recogniser
from kd.propagation import apply
from kd.propagation.sizes import Sizes


def model_of(name: str) -> Recogniser:
    return make_model(name, "keyword" if name == "patch_cnn" else "transcription")


def with_units(model: Recogniser) -> list[Dimension]:
    return [d for d in model.dimensions() if d.dim != "layers"]


@pytest.mark.parametrize("name", ENCODERS)
def test_the_size_of_a_choice_is_that_of_the_model_it_gives(name: str) -> None:
    model = model_of(name)
    dimensions = with_units(model)
    sizes = Sizes.of(model, dimensions)
    assert sizes.total == sum(p.numel() for p in model.parameters())
    generator = torch.Generator().manual_seed(2)
    for _ in range(3):
        choice = {d.name: torch.randperm(d.size, generator=generator)[: max(1, d.size // 2)] for d in dimensions}
        there = {d.name: torch.zeros(d.size).index_fill(0, choice[d.name], 1.0) for d in dimensions}
        left = sum(p.numel() for p in apply(model, choice).parameters())
        assert float(sizes.params(there)) == left
        assert float(sizes.sparsity(there, "params")) == pytest.approx(1 - left / sizes.total)
        units = sum(len(kept) for kept in choice.values())
        assert float(sizes.sparsity(there, "units")) == pytest.approx(1 - units / sizes.units)


def test_expected_parameters_by_hand() -> None:
    """A one-way GRU of 12 features: a unit has 3 * 12 + 6 biases + 12 read, and 3 for each pair of units."""
    model = model_of("gru-one-way")
    dimensions = [d for d in with_units(model) if d.name == "layers.0.hidden"]
    sizes = Sizes.of(model, dimensions)
    there = torch.tensor([1.0, 0.5, 0.5] + [0.0] * 6)
    others = sizes.total - 9 * 54 - 81 * 3
    # units: 2 on average; pairs: 1, 2, 2 or 3 units, so (1 + 4 + 4 + 9) / 4 of them
    assert float(sizes.params({"layers.0.hidden": there})) == others + 2 * 54 + 4.5 * 3


@pytest.mark.parametrize("name", ["gru", "conformer"])
def test_the_expectation_is_the_mean_over_draws(name: str) -> None:
    model = model_of(name)
    dimensions = with_units(model)
    sizes = Sizes.of(model, dimensions)
    generator = torch.Generator().manual_seed(3)
    chance = {d.name: torch.rand(d.size, generator=generator) for d in dimensions}
    drawn = torch.stack([
        sizes.params({name: torch.bernoulli(p, generator=generator) for name, p in chance.items()}) for _ in range(1500)
    ])  # fmt: skip
    error = abs(float(drawn.mean()) - float(sizes.params(chance)))
    assert error < 4 * float(drawn.std()) / math.sqrt(len(drawn))


def test_the_gradient_draws_units_away() -> None:
    model = model_of("gru")
    dimensions = with_units(model)
    chance = {d.name: torch.full((d.size,), 0.5, requires_grad=True) for d in dimensions}
    Sizes.of(model, dimensions).params(chance).backward()
    assert all((p.grad > 0).all() for p in chance.values() if p.grad is not None)
    assert all(p.grad is not None for p in chance.values())
