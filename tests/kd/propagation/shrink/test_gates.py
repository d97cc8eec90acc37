"""Gates act wherever their unit does, learn by the chain rule, and leave no trace where they are shut."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from factories import ENCODERS, make_features, make_model, outputs
from precision import FLOAT32
from torch import Tensor
from torch.func import functional_call

from kd.config.shrink import Gates
from kd.models import Dimension, Recogniser
from kd.propagation import apply
from kd.propagation.choice import keep_by_sparsity
from kd.propagation.shrink.gates import GatePenalty, folded, gated
from kd.propagation.shrink.hard_concrete import REACH, open_probability, sampled

PROBLEM = {name: "keyword" if name == "patch_cnn" else "transcription" for name in ENCODERS}
DIMENSIONS = [
    (name, d.name) for name in ENCODERS for d in make_model(name, PROBLEM[name]).dimensions() if d.dim != "layers"
]
every_dimension = pytest.mark.parametrize(("name", "dimension"), DIMENSIONS, ids=[f"{n}-{d}" for n, d in DIMENSIONS])


def dimension_of(model: Recogniser, name: str) -> Dimension:
    return next(d for d in model.dimensions() if d.name == name)


def penalty_on(model: Recogniser, **changes: Any) -> GatePenalty:
    settings = {"how": "gates", "dims": ["hidden"], "sparsity": 0.5, "of": "units", "epochs": 1, **changes}
    return GatePenalty(model, Gates.model_validate(settings), steps=10, seed=1)


@every_dimension
def test_removing_units_whose_gates_are_shut_leaves_no_trace(name: str, dimension: str) -> None:
    model = make_model(name, PROBLEM[name])
    target = dimension_of(model, dimension)
    if target.caveat:
        pytest.skip(f"declared away: {target.caveat}")
    gates = torch.rand(target.size, generator=torch.Generator().manual_seed(4)) + 0.1
    gates[1::2] = 0.0
    whole = folded(model, [target], {dimension: gates})
    smaller = apply(whole, {dimension: torch.arange(target.size)[::2]})
    for got, expected in zip(outputs(smaller), outputs(whole), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


@every_dimension
def test_every_gate_acts_and_open_ones_change_nothing(name: str, dimension: str) -> None:
    model = make_model(name, PROBLEM[name])
    target = dimension_of(model, dimension)
    before = outputs(model)
    for got, expected in zip(
        outputs(folded(model, [target], {dimension: torch.ones(target.size)})), before, strict=True
    ):
        assert torch.equal(got, expected)
    dead = [unit for unit in range(target.size) if all(map(torch.equal, outputs(shut(model, target, unit)), before))]
    assert len(dead) <= target.size // 4, "a rectified unit may be 0 for every input"


def shut(model: Recogniser, dimension: Dimension, unit: int) -> Recogniser:
    return folded(
        model, [dimension], {dimension.name: torch.ones(dimension.size).index_fill(0, torch.tensor(unit), 0.0)}
    )


def loss_of(logits_BTV: Tensor, lengths_B: Tensor) -> Tensor:
    return torch.stack([row[:n].square().mean() for row, n in zip(logits_BTV, lengths_B.tolist(), strict=True)]).sum()


@pytest.mark.parametrize(("name", "dims"), [("cnn", ("hidden", "width")), ("conformer", ("heads", "channels", "stem"))])
def test_gradients_are_those_of_the_product(name: str, dims: list[str]) -> None:
    """The oracle calls the model with the products as its weights, which torch cannot do for recurrent ones."""
    model = make_model(name)
    weight_hook = penalty_on(model, dims=dims)
    with torch.no_grad():
        weight_hook.log_alpha_N.copy_(torch.randn(weight_hook.sizes.units, generator=torch.Generator().manual_seed(5)))
        weight_hook.multipliers.copy_(torch.tensor([0.3, 0.7]))
    log_alpha = weight_hook.log_alpha_N.detach().clone().requires_grad_()
    weights = {key: p.detach().clone().requires_grad_() for key, p in model.named_parameters()}
    gates = weight_hook.by_dimension(sampled(log_alpha, weight_hook._uniform()))
    loss = loss_of(*functional_call(model, gated(weights, weight_hook.dimensions, gates), make_features()))
    gap = 1 - open_probability(log_alpha).mean() - weight_hook.target_sparsity
    (loss + 0.3 * gap + 0.7 * gap.square()).backward()

    with weight_hook.acting(training=True):
        acted = loss_of(*model(*make_features()))
        acted.backward()
    weight_hook.add_gradients()
    torch.testing.assert_close(acted, loss)
    torch.testing.assert_close(weight_hook.log_alpha_N.grad, log_alpha.grad)
    for key, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, weights[key].grad)


@pytest.mark.parametrize("name", ["gru", "lstm"])
def test_gradients_of_recurrent_gates_by_differences(name: str) -> None:
    model = make_model(name).double()
    target = [d for d in model.dimensions() if d.dim == "hidden"]
    features, lengths = make_features()
    generator = torch.Generator().manual_seed(6)
    gates = {d.name: torch.rand(d.size, generator=generator, dtype=torch.float64) for d in target}

    def value(moved: dict[str, Tensor]) -> float:
        with torch.no_grad():
            weight_hook._write(gated(trained, target, moved))
            return float(loss_of(*model(features.double(), lengths)))

    weight_hook = penalty_on(model)
    leaf = torch.cat(list(gates.values())).requires_grad_()
    trained = {key: p.detach().clone() for key, p in weight_hook.reading.items()}
    products = gated(trained, target, weight_hook.by_dimension(leaf))
    weight_hook._write(products)
    loss_of(*model(features.double(), lengths)).backward()
    torch.autograd.backward(list(products.values()), [weight_hook.reading[key].grad for key in products])
    for unit in (0, len(leaf) - 1):
        step = torch.zeros_like(leaf).index_fill(0, torch.tensor(unit), 1e-5)
        ahead, behind = (value(weight_hook.by_dimension(leaf.detach() + sign * step)) for sign in (1, -1))
        assert leaf.grad is not None
        assert float(leaf.grad[unit]) == pytest.approx((ahead - behind) / 2e-5, rel=1e-4)


def test_weights_are_themselves_again_outside() -> None:
    model = make_model("lstm")
    before = {key: p.clone() for key, p in model.state_dict().items()}
    weight_hook = penalty_on(model)
    for training in (True, False):
        with weight_hook.acting(training):
            if training:
                assert any(not torch.equal(p, before[key]) for key, p in model.state_dict().items())
        assert all(torch.equal(p, before[key]) for key, p in model.state_dict().items())
    with pytest.raises(RuntimeError), weight_hook.acting(training=True):
        raise RuntimeError
    assert all(torch.equal(p, before[key]) for key, p in model.state_dict().items())


def test_the_constraint_by_hand() -> None:
    """All log alphas 0, target 0.5 / 5 in the first of ten steps (the ramp takes five)."""
    weight_hook = penalty_on(make_model("gru-one-way"))
    assert weight_hook.target_sparsity == pytest.approx(0.1)
    with torch.no_grad():
        weight_hook.log_alpha_N.fill_(0.0)
        weight_hook.multipliers.copy_(torch.tensor([2.0, 3.0]))
    sparsity = 1 - 1 / (1 + 11 ** (-2 / 3))
    assert weight_hook.expected_sparsity().item() == pytest.approx(sparsity, rel=FLOAT32)
    gap = sparsity - 0.1
    assert weight_hook.penalty().item() == pytest.approx(2 * gap + 3 * gap**2, rel=FLOAT32)


@pytest.mark.parametrize("of", ["units", "params"])
def test_the_constraint_alone_leads_to_its_target(of: str) -> None:
    """Without any other loss, in 300 steps; multipliers climb, gates follow, and none gets beyond reach."""
    model = make_model("gru")
    settings = {"how": "gates", "dims": ["hidden"], "sparsity": 0.4, "of": of, "epochs": 1}
    weight_hook = GatePenalty(model, Gates.model_validate(settings), steps=300, seed=1)
    for _ in range(300):
        with weight_hook.acting(training=True):
            pass
        weight_hook.add_gradients()
    assert weight_hook.metrics()["expected_sparsity"] == pytest.approx(0.4, abs=0.08)
    assert weight_hook.metrics()["target_sparsity"] == 0.4
    assert float(weight_hook.log_alpha_N.detach().abs().max()) <= REACH


def test_a_state_goes_on_as_if_never_stopped() -> None:
    one, other = (penalty_on(make_model("gru")) for _ in range(2))

    def steps(weight_hook: GatePenalty, count: int) -> None:
        for _ in range(count):
            with weight_hook.acting(training=True):
                pass
            weight_hook.add_gradients()

    steps(one, 3)
    other.load_state_dict(deepcopy(one.state_dict()))
    steps(one, 3)
    steps(other, 3)
    assert torch.equal(one.log_alpha_N, other.log_alpha_N)
    assert one.metrics() == other.metrics()


@pytest.mark.parametrize("name", ["cnn", "gru"])
def test_gates_find_the_units_that_nothing_depends_on(name: str) -> None:
    """A model that shall say what it said before: of each dimension three units are read by nobody, and those go."""
    model = make_model(name)
    dimensions = [d for d in model.dimensions() if d.dim == "hidden"]
    idle = torch.tensor([0, 3, 5])
    state = model.state_dict()
    with torch.no_grad():
        for dimension in dimensions:
            for axis in (a for a in dimension.axes if a.reads):
                state[axis.tensor].index_fill_(axis.dim, axis.positions(idle, dimension.size), 0.0)
        before = model(*make_features())[0]
    units = sum(d.size for d in dimensions)
    settings = {
        "how": "gates",
        "dims": ["hidden"],
        "of": "units",
        "sparsity": 3 * len(dimensions) / units,
        "epochs": 1,
    }
    weight_hook = GatePenalty(model, Gates.model_validate({**settings, "lr": 0.1}), steps=100, seed=1)
    for _ in range(100):
        model.zero_grad()
        with weight_hook.acting(training=True):
            (1000 * (model(*make_features())[0] - before).square().mean()).backward()
        weight_hook.add_gradients()
    log_alpha = weight_hook.by_dimension(weight_hook.log_alpha_N.detach())
    kept = keep_by_sparsity(weight_hook.sizes, log_alpha, weight_hook.settings.sparsity, weight_hook.settings.of)
    found = [len({*idle.tolist()} - {*kept[d.name].tolist()}) for d in dimensions]
    assert sum(found) >= 3 * len(dimensions) - 1, "a rectified unit that is nearly always 0 may be as idle"
