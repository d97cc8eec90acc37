"""Shrinking on the way of training: every family, way and dim ends at its exact size, killed or not."""

from typing import Any

import pytest
import torch
from factories import outputs
from tiny_shrinking import ADAPTER, DIMS, UNITS, WEIGHTS, final, problem_of, run, shrink_of, units
from tiny_training import TinyValidation, fresh, saved_and_loaded, tiny_settings

from kd.config.propagation import PruneWeights
from kd.config.shrink import Shrink
from kd.models import Recogniser, build
from kd.propagation import Propagated, propagate
from kd.propagation.shrink import restored


@pytest.mark.parametrize("how", UNITS)
@pytest.mark.parametrize(("name", "dim"), [(name, dim) for name, dims in DIMS.items() for dim in dims])
def test_units_end_at_their_exact_number(name: str, dim: str, how: str) -> None:
    model = fresh(name, problem_of(name))
    before, size = units(model, dim), sum(p.numel() for p in model.parameters())
    epochs = list(run(model, shrink_of(how, dim)))
    smaller = final(model, epochs[-1])
    assert units(smaller, dim) == before - round(0.4 * before)
    assert [e.index for e in epochs] == [0, 1, 2, 3]
    assert [e.finished for e in epochs] == [False, False, False, True]
    params = [e.metrics["params"] for e in epochs]
    assert params[0] == size
    assert params[-1] == sum(p.numel() for p in smaller.parameters()) < size
    rebuilt = build(smaller.settings)
    rebuilt.load_state_dict(smaller.state_dict(), strict=True)
    assert all(map(torch.equal, outputs(rebuilt.eval()), outputs(smaller)))
    kept = epochs[-1].state["kept"]
    assert sum(len(indices) for indices in kept[-1].values()) == units(smaller, dim)


@pytest.mark.parametrize("how", WEIGHTS)
@pytest.mark.parametrize("name", DIMS)
def test_weights_end_at_their_exact_number_and_stay_zero(name: str, how: str) -> None:
    model = fresh(name, problem_of(name))
    *_, last = run(model, shrink_of(how))
    there = final(model, last)
    weights = [p for p in there.parameters() if p.ndim > 1]
    zeros = sum(int((p == 0).sum()) for p in weights)
    assert zeros == round(0.4 * sum(p.numel() for p in weights))
    assert last.metrics["params"] == sum(p.numel() for p in there.parameters()) - zeros
    parameters = dict(there.named_parameters())
    assert all(not parameters[key][~mask].any() for key, mask in last.state["masks"].items())


@pytest.mark.parametrize("how", UNITS)
@pytest.mark.parametrize(
    ("name", "dims"),
    [("cnn", ["hidden", "width"]), ("gru", ["hidden", "width"]), ("conformer", ["channels", "feed_forward", "width"])],
)
def test_keywords_shrink_too(name: str, dims: list[str], how: str) -> None:
    model = fresh(name, "keyword")
    *_, last = run(model, shrink_of(how, *dims))
    before = units(model, *dims)
    assert units(final(model, last), *dims) == before - round(0.4 * before)


def resumed(how: str, dims: list[str]) -> Shrink:
    taylor = {"op": "prune_units", "dims": dims, "sparsity": 0.4, "importance": {"by": "taylor", "batches": 1}}
    ways: dict[str, dict[str, Any]] = {
        "gates": {**UNITS["gates"], "dims": [*dims, "width"]},
        "group_lasso": {**UNITS["group_lasso"], "dims": dims},
        "gradual units": {**UNITS["gradual"], "prune": taylor},
        "lasso budget": {"how": "group_lasso", "dims": dims, "epochs": 1, "budget": {"params": 4000}},
        "l1": WEIGHTS["l1"],
        "gradual weights": WEIGHTS["gradual"],
        "gradual budget": {**UNITS["gradual"], "prune": {**taylor, "sparsity": None, "budget": {"params": 4000}}},
    }
    return ADAPTER.validate_python(ways[how])


def sizes_and_weights(model: Recogniser) -> dict[str, float]:
    """In place of errors: what no two models share."""
    assert not model.training
    weight = sum(float(p.detach().double().abs().sum()) for p in model.parameters())
    return {"valid_error": weight, "valid_loss": float(sum(p.numel() for p in model.parameters()))}


@pytest.mark.parametrize(
    "how", ["gates", "group_lasso", "gradual units", "gradual budget", "lasso budget", "l1", "gradual weights"]
)
@pytest.mark.parametrize(("name", "dims"), [("gru", ["hidden"]), ("conformer", ["channels", "feed_forward"])])
def test_resuming_in_any_phase_equals_never_stopping(name: str, dims: list[str], how: str) -> None:
    """To the bit, weights, masks and metrics; a kill comes in each phase and at each of their ends."""
    shrink = resumed(how, dims)
    validate = sizes_and_weights
    whole = [(e.metrics, saved_and_loaded(e.state)) for e in run(fresh(name), shrink, validate=validate)]
    phases = [int(metrics["phase"]) for metrics, _ in whole]
    later = [index for index in range(1, 4) if phases[index] > phases[index - 1]]
    assert [index for index, (metrics, _) in enumerate(whole) if "valid_error_at_cut" in metrics] == later
    for stop in range(3):
        torch.manual_seed(stop)
        rest = list(run(fresh(name), shrink, resume=saved_and_loaded(whole[stop][1]), validate=validate))
        assert [e.metrics for e in rest] == [metrics for metrics, _ in whole[stop + 1 :]]
        expected, got = whole[-1][1], saved_and_loaded(rest[-1].state)
        assert [got[key] for key in ("shape", "kept", "lineage")] == [expected[k] for k in ("shape", "kept", "lineage")]
        for part in ("best_weights", "masks"):
            assert got[part].keys() == expected[part].keys()
            assert all(torch.equal(tensor, expected[part][key]) for key, tensor in got[part].items())


def test_the_best_epoch_is_one_of_the_final_shape_and_patience_waits_for_it() -> None:
    model = fresh("cnn")
    settings = tiny_settings(epochs=7, patience=2)
    validate = TinyValidation(0.1, 0.2, 0.3, 0.95, 0.9, 0.8, 0.9, 0.9)  # the fourth at the cut
    epochs = list(run(model, ADAPTER.validate_python({**UNITS["gates"], "dims": ["hidden"], "epochs": 3}), settings,
                      validate=validate))  # fmt: skip
    assert [e.index for e in epochs] == list(range(7))
    assert epochs[-1].state["inner"]["best_epoch"] == 4
    assert [e.metrics["phase"] for e in epochs] == [0, 0, 0, 1, 1, 1, 1]
    assert [e.metrics.get("valid_error_at_cut") for e in epochs] == [None, None, None, 0.95, None, None, None]


def test_the_error_at_a_cut_is_that_of_what_was_left_untrained() -> None:
    """Weights that nothing trains: what is validated is the first model without its least half."""
    still = tiny_settings(optimiser={"name": "sgd", "lr": 1e-30})
    prune = PruneWeights(op="prune_weights", sparsity=0.4)
    shrink = shrink_of("gradual")
    model = fresh("gru")
    expected = sizes_and_weights(propagate(Propagated(fresh("gru").eval()), [prune]).model)["valid_error"]
    epochs = list(run(model, shrink, still, validate=sizes_and_weights))
    first, second = (e.metrics["valid_error_at_cut"] for e in epochs if "valid_error_at_cut" in e.metrics)
    assert second == pytest.approx(expected)
    assert second < first < epochs[0].metrics["valid_error"]


def test_learning_rates_begin_anew_after_gates_and_go_on_between_steps() -> None:
    schedule = {"schedule": {"name": "cosine", "warmup_share": 0.0, "floor": 0.0}}
    settings = tiny_settings(epochs=4, optimiser={"name": "adam", "lr": 1.0e-3}, **schedule)

    def rates(shrink: Shrink) -> list[float]:
        return [e.metrics["lr"] for e in run(fresh("cnn"), shrink, settings)]

    two = ADAPTER.validate_python({**UNITS["gates"], "dims": ["hidden"], "epochs": 2})
    assert rates(two) == pytest.approx([0.5e-3, 0.0, 0.5e-3, 0.0])
    half = 2**-0.5
    steps = [0.5e-3 * (1 + half), 0.5e-3, 0.5e-3 * (1 - half), 0.0]
    assert rates(shrink_of("gradual", "hidden")) == pytest.approx(steps)


def test_whole_layers_go_gradually() -> None:
    model = fresh("gru")
    prune = {"op": "prune_units", "dims": ["layers"], "sparsity": 0.7}
    *_, last = run(model, ADAPTER.validate_python({**UNITS["gradual"], "prune": prune}))
    assert units(final(model, last), "layers") == 1


def test_gates_end_with_a_share_of_parameters() -> None:
    model = fresh("conformer")
    shrink = {**UNITS["gates"], "dims": ["heads", "feed_forward", "channels"], "of": "params", "sparsity": 0.2}
    epochs = list(run(model, ADAPTER.validate_python(shrink)))
    params = [e.metrics["params"] for e in epochs]
    assert 0.72 * params[0] < params[-1] <= 0.8 * params[0]
    assert {"expected_sparsity", "target_sparsity", "penalty", "multiplier"} <= epochs[0].metrics.keys()


def test_what_cannot_shrink_is_refused_before_the_first_epoch() -> None:
    with pytest.raises(ValueError, match=r"shrink: cnn has no dimension 'heads'"):
        next(run(fresh("cnn"), shrink_of("gates", "heads")))
    with pytest.raises(ValueError, match=r"shrink: sparsity 0.4 of 1708 parameters cannot be reached"):
        next(run(fresh("cnn"), ADAPTER.validate_python({**UNITS["gates"], "dims": ["stem"], "of": "params"})))


@pytest.mark.parametrize("how", WEIGHTS)
def test_zeros_that_are_there_already_are_refused_before_the_first_epoch(how: str) -> None:
    model = fresh("cnn")
    masks = {name: torch.arange(p.numel()).view(p.shape) % 2 == 0 for name, p in model.named_parameters() if p.ndim > 1}
    with pytest.raises(ValueError, match=r"shrink: 50% of the weights are zeroed already: raise sparsity 0.4"):
        next(run(model, shrink_of(how), masks=masks))


def test_each_step_of_the_cubic_schedule_is_exact() -> None:
    """26 units, 10 to go in all (0.4), after two steps of three 1 - (1/3)^3 of them."""
    model = fresh("cnn")
    shrink = {"how": "gradual", "epochs": 3, "steps": 3}
    prune = {"op": "prune_units", "dims": ["hidden"], "sparsity": 0.4}
    last = list(run(model, ADAPTER.validate_python({**shrink, "prune": prune})))[-1]
    left = [sum(len(indices) for indices in kept.values()) for kept in last.state["kept"]]
    assert left == [26 - round(0.4 * (1 - (2 / 3) ** 3) * 26), 26 - round(0.4 * (26 / 27) * 26), 26 - 10]


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_a_step_too_small_for_one_weight_zeroes_none(scope: str) -> None:
    """The last of many steps are tiny: they end no training, and the sparsity is met all the same."""
    model = fresh("gru")
    prune = {"op": "prune_weights", "sparsity": 0.5, "scope": scope}
    shrink = ADAPTER.validate_python({"how": "gradual", "epochs": 24, "steps": 24, "prune": prune})
    last = list(run(model, shrink, tiny_settings(epochs=25)))[-1]
    masks = restored(model, last.state).masks
    dead, total = (
        sum(int(part.sum()) for part in parts)
        for parts in ([~m for m in masks.values()], [m | ~m for m in masks.values()])
    )
    assert dead / total == pytest.approx(0.5, abs=0.01)
    assert any("too small for one weight" in line for line in restored(model, last.state).lineage)


def test_with_qat_a_cut_is_validated_as_the_epochs_are() -> None:
    def rounded(model: Recogniser) -> dict[str, float]:
        return {"valid_error": float(sum("forward" in vars(m) for m in model.modules())), "valid_loss": 0.0}

    shrink = ADAPTER.validate_python({**UNITS["gates"], "dims": ["hidden"], "epochs": 1})
    epochs = list(run(fresh("cnn"), shrink, tiny_settings(epochs=2, qat="int8"), validate=rounded))
    assert epochs[1].metrics["valid_error_at_cut"] == epochs[1].metrics["valid_error"] > 0
