"""Pruning: exact numbers of zeros, thresholds, and what a scope compares."""

import pytest
import torch
from factories import ENCODERS, make_model
from torch import Tensor, nn
from torch.ao.pruning import WeightNormSparsifier

from kd.config.propagation import Magnitude, PruneUnits, PruneWeights, Random
from kd.models import Recogniser
from kd.models.masks import apply_masks
from kd.propagation.importance import unit_scores, weight_scores
from kd.propagation.pruning import choose_units, n_of_m, weight_masks

every_family = pytest.mark.parametrize("name", ENCODERS)


def weights(model: Recogniser) -> dict[str, Tensor]:
    return {name: p for name, p in model.named_parameters() if p.ndim > 1}


def zeros(masks: dict[str, Tensor]) -> int:
    return sum(int((~mask).sum()) for mask in masks.values())


@every_family
@pytest.mark.parametrize("sparsity", [0.01, 0.37, 0.9])
def test_a_global_sparsity_is_exact_and_spares_the_largest(name: str, sparsity: float) -> None:
    model = make_model(name, "keyword")
    masks = weight_masks(model, PruneWeights(op="prune_weights", sparsity=sparsity))
    total = sum(p.numel() for p in weights(model).values())
    assert masks.keys() == weights(model).keys(), "biases and norms stay whole"
    assert zeros(masks) == round(sparsity * total)
    dead = torch.cat([p[~masks[n]].abs() for n, p in weights(model).items()])
    alive = torch.cat([p[masks[n]].abs() for n, p in weights(model).items()])
    assert dead.max() <= alive.min()


@every_family
def test_a_sparsity_by_layer_is_exact_in_each_tensor(name: str) -> None:
    model = make_model(name, "keyword")
    masks = weight_masks(model, PruneWeights(op="prune_weights", sparsity=0.37, scope="layer"))
    for key, weight in weights(model).items():
        assert int((~masks[key]).sum()) == round(0.37 * weight.numel())
        if masks[key].any() and not masks[key].all():
            assert weight[~masks[key]].abs().max() <= weight[masks[key]].abs().min()


def test_a_threshold_by_hand() -> None:
    model = make_model("gru")
    masks = weight_masks(model, PruneWeights(op="prune_weights", threshold=0.1))
    for name, weight in weights(model).items():
        assert torch.equal(masks[name], weight.abs() >= 0.1)
    assert 0 < zeros(masks) < sum(p.numel() for p in weights(model).values())


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_a_sparsity_that_leaves_no_weight_is_refused_by_its_name(scope: str) -> None:
    settings = PruneWeights.model_validate({"op": "prune_weights", "sparsity": 0.999999, "scope": scope})
    with pytest.raises(ValueError, match=r"sparsity 0\.999999 leaves no weight alive: lower it"):
        weight_masks(make_model("cnn"), settings)


def test_a_threshold_above_everything_is_refused() -> None:
    with pytest.raises(ValueError, match=r"threshold 1000.0 leaves no weight alive: lower it, or give a sparsity"):
        weight_masks(make_model("cnn"), PruneWeights(op="prune_weights", threshold=1000.0))


def test_n_of_m_by_hand() -> None:
    """Runs of four inputs, and one of two at the end, which keeps both; equal scores go by their place."""
    scores = torch.tensor([[3.0, 1.0, 2.0, 0.0, 0.1, 0.2], [1.0, 1.0, 1.0, 1.0, 0.0, 0.0]])
    expected = [[True, False, True, False, True, True], [True, True, False, False, True, True]]
    assert n_of_m(scores, 2, 4).tolist() == expected
    assert n_of_m(scores, 1, 3)[0].tolist() == [True, False, False, False, False, True]


def test_n_of_m_is_torchs() -> None:
    """Against torch.ao's sparsifier, which zeroes two of every four along the inputs of a linear layer."""
    torch.manual_seed(5)
    layer = nn.Sequential(nn.Linear(16, 6))
    weight = layer[0].weight.detach().clone()
    theirs = WeightNormSparsifier(sparsity_level=1.0, sparse_block_shape=(1, 4), zeros_per_block=2)
    theirs.prepare(layer, [{"tensor_fqn": "0.weight"}])
    theirs.step()
    assert torch.equal(n_of_m(weight.abs(), 2, 4), layer[0].parametrizations.weight[0].mask.bool())


@every_family
@pytest.mark.parametrize("pattern", [(2, 4), (1, 3)])
def test_a_pattern_leaves_n_of_every_m_inputs(name: str, pattern: tuple[int, int]) -> None:
    model, (n, m) = make_model(name, "keyword"), pattern
    masks = weight_masks(model, PruneWeights(op="prune_weights", pattern=pattern))
    assert masks.keys() == weights(model).keys(), "biases and norms stay whole"
    for key, mask in masks.items():
        for run in mask.split(m, dim=1):
            assert (run.sum(1) == min(n, run.shape[1])).all(), key
        if mask.shape[1] <= n:
            assert mask.all(), key


def test_a_pattern_after_a_pruning_brings_nothing_back() -> None:
    model = make_model("cnn", "keyword")
    first = weight_masks(model, PruneWeights(op="prune_weights", sparsity=0.3))
    apply_masks(model, first)
    second = weight_masks(model, PruneWeights(op="prune_weights", pattern=(2, 4)), alive=first)
    for name, mask in second.items():
        assert not (mask & ~first[name]).any()
        for run, before in zip(mask.split(4, dim=1), first[name].split(4, dim=1), strict=True):
            assert torch.equal(run.sum(1), before.sum(1).clamp(max=2)), "the dead count among those that go"


def test_a_pattern_is_the_only_amount() -> None:
    for wrong, message in [
        ({"pattern": (2, 4), "sparsity": 0.5}, "found sparsity, pattern"),
        ({"pattern": (4, 4)}, "is not N, M with 1 <= N < M"),
        ({"pattern": (2, 4), "scope": "layer"}, "remove scope"),
        ({}, "give exactly one of sparsity, threshold, pattern; found none"),
    ]:
        with pytest.raises(ValueError, match=message):
            PruneWeights.model_validate({"op": "prune_weights"} | wrong)
    assert "pattern" not in PruneWeights(op="prune_weights", sparsity=0.5).model_dump(), "studies hash their params"


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_weights_pruned_earlier_go_first_and_never_come_back(scope: str) -> None:
    """Random importance would else find a dead weight important."""
    model = make_model("conformer")
    first = weight_masks(model, PruneWeights(op="prune_weights", sparsity=0.5, importance=Random(by="random", seed=1)))
    again = PruneWeights.model_validate(
        {"op": "prune_weights", "sparsity": 0.7, "importance": {"by": "random", "seed": 2}, "scope": scope}
    )
    second = weight_masks(model, again, alive=first)
    for name, mask in second.items():
        assert not (mask & ~first[name]).any()
    if scope == "global":
        assert zeros(second) == round(0.7 * sum(m.numel() for m in first.values()))
    weaker = PruneWeights(op="prune_weights", sparsity=0.1)
    for name, mask in weight_masks(model, weaker, alive=first).items():
        assert torch.equal(mask, first[name])


def test_applying_masks_changes_masked_weights_alone() -> None:
    model = make_model("cnn")
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    masks = weight_masks(model, PruneWeights(op="prune_weights", sparsity=0.5))
    apply_masks(model, masks)
    for key, tensor in model.state_dict().items():
        expected = before[key] * masks[key] if key in masks else before[key]
        assert torch.equal(tensor, expected), key


def units(name: str, **settings: object) -> tuple[Recogniser, dict[str, Tensor]]:
    model = make_model(name, "keyword")
    dims = {d.dim for d in model.dimensions()}
    return model, choose_units(model, PruneUnits.model_validate({"op": "prune_units", "dims": dims} | settings))


@every_family
def test_a_sparsity_of_units_by_layer_is_exact(name: str) -> None:
    model, kept = units(name, sparsity=0.4, scope="layer")
    for d in model.dimensions():
        assert len(kept[d.name]) == max(1, d.size - round(0.4 * d.size))


@every_family
def test_a_sparsity_of_units_over_all_is_exact(name: str) -> None:
    model, kept = units(name, sparsity=0.4)
    total = sum(d.size for d in model.dimensions())
    assert sum(map(len, kept.values())) == total - round(0.4 * total)
    for d in model.dimensions():
        scores = unit_scores(d, weight_scores(model, Magnitude(by="l2"), None))
        best = scores.topk(len(kept[d.name])).indices.sort().values
        assert torch.equal(kept[d.name], best), "in each dimension the best stay"


@every_family
@pytest.mark.parametrize("sparsity", [0.4, 0.7])
def test_a_sparsity_of_units_by_dim_is_exact(name: str, sparsity: float) -> None:
    model, kept = units(name, sparsity=sparsity, scope="kind")
    for dim in {d.dim for d in model.dimensions()}:
        sizes = [d.size for d in model.dimensions() if d.dim == dim]
        left = [len(kept[d.name]) for d in model.dimensions() if d.dim == dim]
        assert sum(left) == sum(sizes) - round(sparsity * sum(sizes))
        assert min(left) >= 1


def test_more_units_than_can_go_are_refused() -> None:
    """Exactly so many, or none: each dimension's best one stays."""
    with pytest.raises(ValueError, match="units cannot go: of each dimension one must stay, so that at most"):
        units("cnn", sparsity=0.99)


def test_a_threshold_above_every_unit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"threshold 1e\+09 leaves no unit: lower it, or give a sparsity"):
        units("gru", threshold=1e9)


def test_every_dimension_keeps_its_best_unit() -> None:
    model = make_model("gru", "keyword")
    scores = weight_scores(model, Magnitude(by="l2"), None)
    by_dimension = {d.name: unit_scores(d, scores) for d in model.dimensions()}
    highest = max(float(s.max()) for s in by_dimension.values())
    _, kept = units("gru", threshold=highest)
    for name, s in by_dimension.items():
        assert kept[name].tolist() == [int(s.argmax())]


def test_a_threshold_of_units_by_hand() -> None:
    model, kept = units("cnn", threshold=0.03, importance={"by": "l2"})
    scores = weight_scores(model, Magnitude(by="l2"), None)
    for d in model.dimensions():
        above = (unit_scores(d, scores) >= 0.03).nonzero()[:, 0]
        assert kept[d.name].tolist() == (above.tolist() or [int(unit_scores(d, scores).argmax())])


def test_the_global_scope_compares_layers_of_any_scale() -> None:
    """All weights of one layer a hundred times larger: the choice among hidden units stays."""
    model = make_model("cnn")
    settings = PruneUnits(op="prune_units", dims=("hidden",), sparsity=0.5)
    before = choose_units(model, settings)
    hidden = [d for d in model.dimensions() if d.dim == "hidden"]
    with torch.no_grad():
        for tensor in {axis.tensor for axis in hidden[1].axes}:
            model.state_dict()[tensor].mul_(100.0)
    after = choose_units(model, settings)
    assert {name: k.tolist() for name, k in after.items()} == {name: k.tolist() for name, k in before.items()}
