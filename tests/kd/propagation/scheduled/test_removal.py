"""Removal meets a share of parameters, with as many units as that allows."""

import pytest
import torch
from factories import make_model

from kd.propagation import apply
from kd.propagation.scheduled.removal import chosen, learnt_dimensions, left
from kd.propagation.scheduled.sizes import Sizes


@pytest.mark.parametrize("sparsity", [0.05, 0.3, 0.5])
def test_a_share_of_parameters_is_met_with_as_many_units_as_it_allows(sparsity: float) -> None:
    model = make_model("gru")
    dimensions = learnt_dimensions(model, ("hidden", "stem"))
    sizes = Sizes.of(model, dimensions)
    generator = torch.Generator().manual_seed(1)
    scores = {d.name: torch.rand(d.size, generator=generator) for d in dimensions}
    choice = chosen(sizes, scores, sparsity, "params")
    gone = sizes.units - sum(len(indices) for indices in choice.values())
    size = sum(p.numel() for p in apply(model, choice).parameters())
    assert size == left(sizes, scores, gone) <= (1 - sparsity) * sizes.total < left(sizes, scores, gone - 1)


def test_a_share_that_is_out_of_reach_is_refused() -> None:
    model = make_model("cnn")
    dimensions = learnt_dimensions(model, ("hidden",))
    scores = {d.name: torch.rand(d.size) for d in dimensions}
    with pytest.raises(ValueError, match=r"sparsity 0.9 of 1708 parameters cannot be reached: with one unit of each"):
        chosen(Sizes.of(model, dimensions), scores, 0.9, "params")


def test_a_kind_that_the_model_has_not_is_named() -> None:
    with pytest.raises(ValueError, match="dims: cnn has no dimension 'heads'; it has layers, stem, width, hidden"):
        learnt_dimensions(make_model("cnn"), ("heads",))
