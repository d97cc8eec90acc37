"""Partly transferred: what is named is new, by its seed; nothing else changes."""

from typing import Any

import pytest
import torch
from factories import ENCODERS, make_model
from pydantic import TypeAdapter, ValidationError

from kd.config.propagation import Operator, Renew
from kd.models import Recogniser, build
from kd.propagation import Propagated, propagate
from kd.propagation.compose import compose

LAYERED = [name for name in ENCODERS if name != "patch_cnn"]
STEMMED = [name for name in LAYERED if not name.startswith("wav2vec2")]


def after(model: Recogniser, *operators: dict[str, Any]) -> Propagated:
    return propagate(Propagated(model), TypeAdapter(list[Operator]).validate_python(list(operators)))


def changed(model: Recogniser, other: Recogniser) -> set[str]:
    state = other.state_dict()
    return {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, state[name])}


@pytest.mark.parametrize("name", LAYERED)
@pytest.mark.parametrize(
    ("settings", "prefixes"),
    [
        ({"layers": "last"}, ["encoder.layers.{last}."]),
        ({"layers": 1, "head": True}, ["encoder.layers.{last}.", "head."]),
        ({"layers": [0]}, ["encoder.layers.0."]),
        ({"stem": True}, ["encoder.stem."]),
    ],
)
def test_what_is_named_is_new_and_nothing_else(name: str, settings: dict[str, Any], prefixes: list[str]) -> None:
    if "stem" in settings and name not in STEMMED:
        pytest.skip("it has no stem: see test_what_is_not_there_is_named")
    model = make_model(name)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    result = after(model, {"op": "renew", **settings})
    last = len(model.encoder.layers) - 1
    starts = tuple(prefix.format(last=last) for prefix in prefixes)
    inside = {key for key in before if key.startswith(starts)}
    weights = {key for key in inside if before[key].ndim > 1}
    assert weights <= changed(model, result.model) <= inside
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items()), "input untouched"
    assert result.model.settings == model.settings
    assert not result.model.training


@pytest.mark.parametrize("name", STEMMED)
def test_all_new_is_a_new_model_of_that_seed(name: str) -> None:
    """But for the scaling of the features, which no training learns, and the rnn's norm behind its layers."""
    model = make_model(name, "keyword")
    new = {"head": True, "layers": len(model.encoder.layers), "stem": True}
    result = after(model, {"op": "renew", "seed": 7, **new})
    torch.manual_seed(7)
    scaling, norm = {"mean_F", "scale_F"}, {"encoder.norm.weight", "encoder.norm.bias"}
    assert scaling <= changed(build(model.settings), result.model) <= scaling | norm


def test_the_seed_decides_and_torchs_generator_does_not() -> None:
    model, operator = make_model("gru"), {"op": "renew", "layers": 2}
    first = after(model, operator)
    torch.manual_seed(99)
    state = torch.get_rng_state()
    again, other = after(model, operator), after(model, {**operator, "seed": 2})
    assert torch.equal(torch.get_rng_state(), state)
    assert not changed(first.model, again.model)
    assert changed(first.model, other.model)


def test_after_a_slice_the_rest_is_the_slice() -> None:
    model = make_model("conformer")
    cut = {"op": "slice", "keep": {"layers": 2, "feed_forward": 0.5}, "choose": "last"}
    sliced, both = after(model, cut), after(model, cut, {"op": "renew", "layers": "last", "head": True})
    assert {key.split(".")[0] for key in changed(sliced.model, both.model)} == {"encoder", "head"}
    assert all(key.startswith(("encoder.layers.1.", "head.")) for key in changed(sliced.model, both.model))
    assert both.lineage == (*sliced.lineage, "renew by seed 1: head, layers 1")
    left = compose(model.dimensions(), both.kept)
    assert left.renewed == {"head", "layers.2"}, "in the source's numbers"
    assert left.kept["layers"] == [1, 2]


def test_new_weights_are_dense() -> None:
    prune = {"op": "prune_weights", "sparsity": 0.5}
    pruned, result = (after(make_model("cnn"), prune, *more) for more in ([], [{"op": "renew", "layers": [1]}]))
    gone = {name for name in pruned.masks if name not in result.masks}
    assert gone
    assert gone == {name for name in pruned.masks if name.startswith("encoder.layers.1.")}


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("gru", {"layers": 4}, "layers 4, but the rnn has 3,"),
        ("gru", {"layers": [3]}, r"layers \(3,\), but the rnn has 3,"),
        ("patch_cnn", {"layers": "last"}, "layers last, but the patch_cnn has 0,"),
        ("patch_cnn", {"stem": True}, "patch_cnn has no stem"),
        ("wav2vec2", {"stem": True}, "wav2vec2 has no stem"),
    ],
)
def test_what_is_not_there_is_named(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        after(make_model(name, "keyword"), {"op": "renew", **settings})


@pytest.mark.parametrize(
    "settings", [{}, {"layers": []}, {"layers": 0}, {"layers": [1, 1]}, {"layers": [-1]}, {"layers": True}]
)
def test_settings_that_say_nothing_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Renew.model_validate({"op": "renew", **settings})
