"""The algebra of operators: every family with every operator, their composition, and masks on the way."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from factories import ENCODERS, calibrate, make_model, outputs
from pydantic import TypeAdapter
from tiny_training import tiny_fit, tiny_settings
from torch import Tensor

from kd.config.models import ModelSettings
from kd.config.propagation import DataDriven, Operator
from kd.models import Recogniser, build
from kd.propagation import Propagated, propagate
from kd.propagation.operators import APPLY

HALF = {"layers": 2, "width": 0.5, "stem": 0.5, "hidden": 0.5, "heads": 2, "feed_forward": 0.5, "channels": 0.5}
OPTIMISERS: list[dict[str, Any]] = [
    {"name": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 0.1},
    {"name": "adam", "lr": 0.01, "weight_decay": 0.1},
    {"name": "adamw", "lr": 0.01, "weight_decay": 0.1},
    {"name": "rmsprop", "lr": 0.01, "momentum": 0.9, "weight_decay": 0.1},
]


def operators(*data: dict[str, Any]) -> list[Operator]:
    return TypeAdapter(list[Operator]).validate_python(list(data))


def cases(dims: tuple[str, ...], normed: tuple[str, ...] = ()) -> dict[str, dict[str, Any]]:
    """Every operator, with every importance and scope, for a family that has these dims."""
    keep = {dim: HALF[dim] for dim in dims}
    found: dict[str, dict[str, Any]] = {
        f"slice-{choose}": {"op": "slice", "keep": keep, "choose": choose}
        for choose in ("random", "first", "last", "spaced")
    }
    calibrated = ("gradient", "taylor", "fisher", "activation", "movement")
    for by in ("random", "l1", "l2", "lamp", *calibrated):
        importance = {"by": by, "batches": 1} if by in calibrated else {"by": by}
        found[f"slice-{by}"] = {"op": "slice", "keep": keep, "importance": importance}
        for scope in ("global", "layer"):
            amount = {"importance": importance, "sparsity": 0.4, "scope": scope}
            found[f"weights-{by}-{scope}"] = {"op": "prune_weights", **amount}
            found[f"units-{by}-{scope}"] = {"op": "prune_units", "dims": dims, **amount}
    apart = [dim for dim in dims if dim != "layers"]
    remote = {"importance": {"by": "geometric_median"}}
    if apart:
        found["slice-geometric_median"] = {"op": "slice", "keep": {dim: HALF[dim] for dim in apart}, **remote}
        found["units-geometric_median"] = {"op": "prune_units", "dims": apart, "sparsity": 0.4, **remote}
    found["weights-pattern"] = {"op": "prune_weights", "pattern": [2, 4]}
    new: dict[str, Any] = {"head": True, **({"stem": True} if "stem" in dims else {})}
    new |= {"layers": "last"} if "layers" in dims else {}
    return found | norm_cases(normed) | {"renew": {"op": "renew", **new}}


def norm_cases(normed: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """By the scale of norms, which only some dims have."""
    importance = {"importance": {"by": "norm"}}
    if not normed:
        return {}
    return {
        "slice-norm": {"op": "slice", "keep": {dim: HALF[dim] for dim in normed}, **importance},
        "units-norm": {"op": "prune_units", "dims": normed, "sparsity": 0.4, **importance},
    }


def test_every_operator_is_covered() -> None:
    ops = {type(operators(data)[0]) for data in cases(("width",)).values()}
    assert ops == set(APPLY)


@pytest.mark.parametrize("name", ENCODERS)
def test_every_operator_gives_a_model_that_reloads(name: str) -> None:
    """Strictly, from its settings alone, with equal outputs; the source stays as it was."""
    model = make_model(name, "keyword")
    before, expected = {k: t.clone() for k, t in model.state_dict().items()}, outputs(model)
    for case, data in cases(model.settings.encoder.dims, model.settings.encoder.normed).items():
        result = propagate(Propagated(model), operators(data), calibrate)
        again = build(ModelSettings.model_validate_json(result.model.settings.model_dump_json())).eval()
        again.load_state_dict(result.model.state_dict(), strict=True)
        for got, wanted in zip(outputs(again), outputs(result.model), strict=True):
            assert torch.equal(got, wanted), case
            assert got.isfinite().all(), case
        smaller = sum(int(p.count_nonzero()) for p in result.model.parameters())
        whole = sum(int(p.count_nonzero()) for p in model.parameters())
        assert smaller < whole or (data["op"] == "renew" and result.model.settings == model.settings), case
        assert len(result.lineage) == len(result.kept) == 1
        assert bool(result.masks) is (data["op"] == "prune_weights"), case
    assert all(torch.equal(t, before[k]) for k, t in model.state_dict().items())
    assert all(torch.equal(a, b) for a, b in zip(outputs(model), expected, strict=True))


def masked_weights_are_zero(result: Propagated, model: Recogniser) -> bool:
    parameters = dict(model.named_parameters())
    assert result.masks
    assert all(result.masks[name].shape == parameters[name].shape for name in result.masks)
    return all(not parameters[name][~mask].any() for name, mask in result.masks.items())


@pytest.mark.parametrize("name", ENCODERS)
def test_masks_follow_through_a_chain(name: str) -> None:
    """slice, prune, slice: the last slice takes the masks along, wherever the units that it keeps lay."""
    model = make_model(name, "keyword")
    dims = model.settings.encoder.dims
    chain = operators(
        {"op": "slice", "keep": {dim: 0.8 for dim in dims if dim != "layers"}, "choose": "last"},
        {"op": "prune_weights", "sparsity": 0.5},
        {"op": "slice", "keep": {dim: HALF[dim] for dim in dims}, "choose": "last"},
    )
    steps = [Propagated(model)]
    for operator in chain:
        steps.append(propagate(steps[-1], [operator]))
    pruned, last = steps[2:]
    assert masked_weights_are_zero(pruned, pruned.model)
    assert masked_weights_are_zero(last, last.model)
    at_once = propagate(Propagated(model), chain)
    assert (at_once.lineage, at_once.kept) == (last.lineage, last.kept)
    assert [line.split(" ")[0] for line in last.lineage] == ["slice", "prune", "slice"]
    for key, mask in last.masks.items():
        assert torch.equal(at_once.masks[key], mask)
        assert torch.equal(last.model.get_parameter(key) != 0, mask), "no weight of this model is 0 by chance"


def test_pruning_twice_only_adds_zeros() -> None:
    first, second = (
        {"op": "prune_weights", "sparsity": s, "importance": {"by": "random", "seed": 1}} for s in (0.3, 0.6)
    )
    once = propagate(Propagated(make_model("conformer")), operators(first))
    twice = propagate(once, operators({**second, "importance": {"by": "random", "seed": 2}}))
    for name, mask in twice.masks.items():
        assert not (mask & ~once.masks[name]).any()
    total = sum(m.numel() for m in twice.masks.values())
    assert sum(int((~m).sum()) for m in twice.masks.values()) == round(0.6 * total)
    assert twice.lineage[1] == f"prune weights by random: {total - round(0.6 * total)} of {total} alive"


def test_unit_pruning_leaves_layers_uneven() -> None:
    model = make_model("cnn")
    result = propagate(Propagated(model), operators({"op": "prune_units", "dims": ["hidden"], "sparsity": 0.5}))
    hidden = result.model.settings.encoder.hidden
    assert sum(hidden) == sum(ENCODERS["cnn"]["hidden"]) - round(0.5 * sum(ENCODERS["cnn"]["hidden"]))
    assert len(set(hidden)) > 1
    assert [len(k) for k in result.kept[0].values()] == list(hidden)


@pytest.mark.parametrize("optimiser", OPTIMISERS, ids=[o["name"] for o in OPTIMISERS])
@pytest.mark.parametrize("name", ["gru", "conformer"])
def test_masked_weights_stay_zero_in_training(name: str, optimiser: dict[str, Any]) -> None:
    prune = {"op": "prune_weights", "sparsity": 0.6, "scope": "layer"}
    pruned = propagate(Propagated(make_model(name)), operators(prune))
    before = {key: p.detach().clone() for key, p in pruned.model.named_parameters()}
    *_, last = tiny_fit(pruned.model, tiny_settings(optimiser=optimiser), masks=pruned.masks)
    assert last.index == 3
    assert masked_weights_are_zero(pruned, pruned.model)
    for key, mask in pruned.masks.items():
        assert not last.best[key][~mask].any()
        alive = pruned.model.get_parameter(key)[mask]
        assert not torch.equal(alive, before[key][mask]), "the others learn"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"op": "slice", "keep": {"heads": 1}}, "rnn has no dimension 'heads': choose from layers, stem, width"),
        ({"op": "prune_units", "dims": ["channels"], "sparsity": 0.5}, "rnn has no dimension 'channels'"),
        ({"op": "slice", "keep": {"layers": 9}}, r"keeps 9 of 'layers', which has only 3: lower keep\.layers"),
        ({"op": "prune_weights", "sparsity": 0.5, "importance": {"by": "taylor"}}, "none were given"),
        ({"op": "slice", "keep": {"width": 3}, "importance": {"by": "gradient"}}, "none were given"),
        (
            {"op": "slice", "keep": {"layers": 3, "width": 12}},
            "nothing would be removed by slice: keep fewer layers or",
        ),
        (
            {"op": "prune_units", "dims": ["hidden"], "sparsity": 0.01},
            r"nothing would be removed by prune_units: raise its sparsity 0\.01",
        ),
        ({"op": "prune_units", "dims": ["hidden"], "threshold": 1e-30}, "prune_units: raise its threshold 1e-30"),
        ({"op": "prune_weights", "threshold": 1e-30}, "prune_weights zeroed nothing: raise its threshold 1e-30"),
        ({"op": "prune_weights", "sparsity": 1e-9}, "prune_weights zeroed nothing: raise its sparsity 1e-09"),
        ({"op": "prune_units", "dims": ["hidden"], "threshold": 1e9}, "threshold 1e\\+09 leaves no unit: lower it"),
        ({"op": "prune_weights", "pattern": [99, 100]}, "zeroed nothing: give a sparser pattern than 99:100"),
    ],
)
def test_what_cannot_be_done_is_named(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        propagate(Propagated(make_model("gru")), operators(data))


def test_pruning_again_by_less_is_named() -> None:
    once = propagate(Propagated(make_model("gru")), operators({"op": "prune_weights", "sparsity": 0.5}))
    with pytest.raises(ValueError, match=r"zeroed nothing: raise its sparsity 0\.4"):
        propagate(once, operators({"op": "prune_weights", "sparsity": 0.4}))


def test_gradients_are_computed_only_where_used() -> None:
    def never(model: Recogniser, batches: int) -> Mapping[str, Tensor]:
        raise AssertionError("not needed")

    by_position = {"op": "slice", "keep": {"width": 3}, "choose": "first"}
    by_magnitude = {"op": "prune_weights", "sparsity": 0.1}
    result = propagate(Propagated(make_model("gru")), operators(by_position, by_magnitude), never)
    assert len(result.lineage) == 2


def test_each_operator_is_calibrated_on_the_model_it_gets() -> None:
    seen = []

    def count(model: Recogniser, importance: DataDriven) -> Mapping[str, Tensor]:
        seen.append((sum(p.numel() for p in model.parameters()), importance.batches))
        return calibrate(model, importance)

    data = {"op": "slice", "keep": {"width": 0.5}, "importance": {"by": "taylor", "batches": 2}}
    model = make_model("gru")
    result = propagate(Propagated(model), operators(data, {**data, "importance": {"by": "gradient"}}), count)
    assert [batches for _, batches in seen] == [2, 8]
    assert seen[0][0] > seen[1][0] > sum(p.numel() for p in result.model.parameters())
