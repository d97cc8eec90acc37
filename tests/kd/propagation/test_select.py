"""Laws of the one mechanism, over every family and dimension."""

import pytest
import torch
from factories import ENCODERS, make_model, outputs

from kd.models import Dimension, Recogniser, build
from kd.propagation import apply

PROBLEM = {name: "keyword" if name == "patch_cnn" else "transcription" for name in ENCODERS}
DIMENSIONS = [(name, d.name) for name in ENCODERS for d in make_model(name, PROBLEM[name]).dimensions()]

NORM_LAST = ("patch_cnn", "conformer", "conformer-causal", "wav2vec2")

every_family = pytest.mark.parametrize("name", ENCODERS)
every_dimension = pytest.mark.parametrize(("name", "dimension"), DIMENSIONS, ids=[f"{n}-{d}" for n, d in DIMENSIONS])


def dimension_of(model: Recogniser, name: str) -> Dimension:
    return next(d for d in model.dimensions() if d.name == name)


def assert_same_outputs(a: Recogniser, b: Recogniser) -> None:
    for got, expected in zip(outputs(a), outputs(b), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


@every_family
def test_keeping_all_changes_nothing(name: str) -> None:
    model = make_model(name, PROBLEM[name])
    same = apply(model, {d.name: torch.arange(d.size) for d in model.dimensions()})
    assert same.settings == model.settings
    for key, tensor in model.state_dict().items():
        assert torch.equal(same.state_dict()[key], tensor), key


@every_dimension
def test_sizes_equal_what_the_settings_say(name: str, dimension: str) -> None:
    model = make_model(name, PROBLEM[name])
    size = dimension_of(model, dimension).size
    smaller = apply(model, {dimension: torch.arange(size)[::2]})
    rebuilt = build(smaller.settings)
    rebuilt.load_state_dict(smaller.state_dict(), strict=True)
    assert_same_outputs(rebuilt.eval(), smaller)
    before, after = (sum(p.numel() for p in m.parameters()) for m in (model, smaller))
    assert after < before
    if dimension != "layers":
        assert dimension_of(smaller, dimension).size == (size + 1) // 2


@every_dimension
def test_the_input_is_untouched(name: str, dimension: str) -> None:
    model = make_model(name, PROBLEM[name])
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    smaller = apply(model, {dimension: torch.tensor([0])})
    with torch.no_grad():
        for p in smaller.parameters():
            p.add_(1.0)
    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[key]), key


@every_dimension
def test_a_unit_that_nothing_reads_leaves_no_trace(name: str, dimension: str) -> None:
    model = make_model(name, PROBLEM[name])
    target = dimension_of(model, dimension)
    if target.dim == "layers":
        pytest.skip("a layer is a residual branch: see the next test")
    if target.caveat:
        pytest.skip(f"declared away: {target.caveat}; see test_width_is_reordered_without_a_trace")
    dead = torch.tensor([target.size - 1, 0])
    state = model.state_dict()
    with torch.no_grad():
        for axis in target.axes:
            if axis.reads:
                state[axis.tensor].index_fill_(axis.dim, axis.positions(dead, target.size), 0.0)
    alive = torch.arange(1, target.size - 1)
    assert_same_outputs(apply(model, {dimension: alive}), model)


@every_dimension
def test_units_are_reordered_without_a_trace(name: str, dimension: str) -> None:
    """A permutation of the units of any dimension, norms across it included, is the same function."""
    model = make_model(name, PROBLEM[name])
    target = dimension_of(model, dimension)
    if target.dim == "layers":
        pytest.skip("layers do not commute")
    order = torch.randperm(target.size, generator=torch.Generator().manual_seed(3))
    assert_same_outputs(apply(model, {dimension: order}), model)


@pytest.mark.parametrize("name", [n for n in ENCODERS if n not in NORM_LAST])
def test_a_layer_whose_branch_is_zero_leaves_no_trace(name: str) -> None:
    """For those of NORM_LAST this cannot hold exactly: each of their layers ends in a LayerNorm of the stream."""
    model = make_model(name)
    both = ["contract", "attention.out"]
    branches = {"cnn": ["contract"], "whisper": both, "wav2vec2": both}.get(name.split("-")[0], ["project"])
    with torch.no_grad():
        for branch in branches:
            for key in ("weight", "bias"):
                model.get_parameter(f"encoder.layers.1.{branch}.{key}").zero_()
    others = [i for i in range(dimension_of(model, "layers").size) if i != 1]
    assert_same_outputs(apply(model, {"layers": torch.tensor(others)}), model)


@every_family
def test_two_choices_equal_one_after_the_other(name: str) -> None:
    model = make_model(name, PROBLEM[name])
    wide = {d.name: torch.arange(d.size)[1:] for d in model.dimensions()}
    once = apply(model, wide)
    twice = apply(once, {d.name: torch.arange(d.size)[::2] for d in once.dimensions()})
    layers = wide.get("layers", torch.arange(1))[::2].tolist()
    composed = {}
    for d in model.dimensions():
        deep = d.field in getattr(model.settings.encoder, "per_layer", ()) and "layers" in wide
        if not deep or d.layer in layers or d.dim == "layers":
            composed[d.name] = wide[d.name][::2]
    direct = apply(model, composed)
    assert direct.settings == twice.settings
    for key, tensor in twice.state_dict().items():
        assert torch.equal(direct.state_dict()[key], tensor), key


@every_family
def test_every_tensor_belongs_to_a_dimension(name: str) -> None:
    """Otherwise some width could not shrink. The scaling of features and the head's bias have no unit."""
    model = make_model(name, PROBLEM[name])
    declared = {axis.tensor for d in model.dimensions() for axis in d.axes}
    rest = {key for key in model.state_dict() if key not in declared and "num_batches_tracked" not in key}
    assert rest == {"mean_F", "scale_F", "head.bias"}


def test_attention_heads_by_hand() -> None:
    model = make_model("conformer")
    kept = apply(model, {"layers.1.heads": torch.tensor([0, 2])})
    rows = [0, 1, 2, 3, 8, 9, 10, 11]
    query = "encoder.layers.1.attention.query.weight"
    assert torch.equal(kept.state_dict()[query], model.state_dict()[query][rows])
    out = "encoder.layers.1.attention.out.weight"
    assert torch.equal(kept.state_dict()[out], model.state_dict()[out][:, rows])


def test_gru_gates_by_hand() -> None:
    model = make_model("gru")
    kept = apply(model, {"layers.1.hidden": torch.tensor([1, 4])})
    recurrent = "encoder.layers.1.ahead.weight_hh_l0"
    rows = [1, 4, 8, 11, 15, 18]
    assert torch.equal(kept.state_dict()[recurrent], model.state_dict()[recurrent][rows][:, [1, 4]])


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"layer.0.hidden": torch.tensor([0])}, r"no dimension 'layer.0.hidden'; this model has layers, stem"),
        ({"width": torch.tensor([], dtype=torch.long)}, "keep at least one of its 12"),
        ({"width": torch.tensor([12])}, "run from 0 to 11"),
        ({"width": torch.tensor([3, 3])}, "occur twice"),
    ],
)
def test_a_wrong_choice_is_named(choice: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        apply(make_model("cnn"), choice)
