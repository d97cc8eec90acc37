"""Shrinking on the way of training: every family, way and kind ends at its exact size, killed or not."""

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from factories import outputs
from pydantic import TypeAdapter
from tiny_training import TinyValidation, fresh, tiny_batches, tiny_course, tiny_settings

from kd.models import Recogniser, build
from kd.propagation import Propagated, propagate
from kd.propagation.budget import Cost
from kd.propagation.evidence import Loss, gather
from kd.settings.models import ModelSettings
from kd.settings.propagation import Budget, DataDriven, PruneWeights
from kd.settings.shrinking import Shrink
from kd.settings.training import TrainingSettings
from kd.shrinking import fit_and_shrink, restored
from kd.training import Epoch

KINDS = {
    "cnn": ["width", "stem", "hidden"],
    "gru": ["width", "stem", "hidden"],
    "lstm": ["width", "stem", "hidden"],
    "conformer": ["width", "stem", "heads", "feed_forward", "channels"],
    "patch_cnn": ["channels", "hidden"],
}
UNITS: dict[str, dict[str, Any]] = {
    "gates": {"how": "gates", "sparsity": 0.4, "of": "units", "epochs": 1},
    "group_lasso": {"how": "group_lasso", "sparsity": 0.4, "of": "units", "epochs": 1},
    "gradual": {"how": "gradual", "epochs": 2, "steps": 2, "prune": {"op": "prune_units", "sparsity": 0.4}},
}
WEIGHTS: dict[str, dict[str, Any]] = {
    "l1": {"how": "l1", "sparsity": 0.4, "epochs": 1},
    "gradual": {"how": "gradual", "epochs": 2, "steps": 2, "prune": {"op": "prune_weights", "sparsity": 0.4}},
}
ADAPTER: TypeAdapter[Shrink] = TypeAdapter(Shrink)


def shrink_of(how: str, *kinds: str) -> Shrink:
    """Settings of a way to remove units of these kinds, or weights where there are none."""
    data = dict((UNITS if kinds else WEIGHTS)[how])
    if kinds and "prune" in data:
        data["prune"] = {**data["prune"], "kinds": kinds}
    elif kinds:
        data["kinds"] = kinds
    return ADAPTER.validate_python(data)


def problem_of(name: str) -> str:
    return "keyword" if name == "patch_cnn" else "transcription"


def calibrate(model: Recogniser, importance: DataDriven) -> Any:
    def loss(there: Recogniser) -> torch.Tensor:
        inputs = next(iter(tiny_batches().epoch(0)))
        return there(inputs.features_BTF, inputs.lengths_B)[0].square().mean()

    losses: list[Loss] = [loss]
    return gather(model, importance, losses)


def count(settings: ModelSettings) -> float:
    return float(sum(p.numel() for p in build(settings).parameters()))


def costs(*asked: Any) -> Cost:
    return Cost(count)


def run(model: Recogniser, shrink: Shrink, settings: TrainingSettings | None = None, **changes: Any) -> Iterator[Epoch]:
    course, arguments = tiny_course(model, settings, **changes)
    return fit_and_shrink(model, course, shrink=shrink, **{"calibrate": calibrate, "costs": costs, **arguments})


def final(model: Recogniser, epoch: Epoch) -> Recogniser:
    """As whoever reads the last state builds it."""
    there = restored(model, epoch.state).model
    there.load_state_dict(epoch.state["best_weights"], strict=True)
    return there.eval()


def units(model: Recogniser, *kinds: str) -> int:
    return sum(d.size for d in model.dimensions() if d.kind in kinds)


@pytest.mark.parametrize("how", UNITS)
@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name, kinds in KINDS.items() for kind in kinds])
def test_units_end_at_their_exact_number(name: str, kind: str, how: str) -> None:
    model = fresh(name, problem_of(name))
    before, size = units(model, kind), sum(p.numel() for p in model.parameters())
    epochs = list(run(model, shrink_of(how, kind)))
    smaller = final(model, epochs[-1])
    assert units(smaller, kind) == before - round(0.4 * before)
    assert [e.index for e in epochs] == [0, 1, 2, 3]
    assert [e.finished for e in epochs] == [False, False, False, True]
    params = [e.metrics["params"] for e in epochs]
    assert params[0] == size
    assert params[-1] == sum(p.numel() for p in smaller.parameters()) < size
    rebuilt = build(smaller.settings)
    rebuilt.load_state_dict(smaller.state_dict(), strict=True)
    assert all(map(torch.equal, outputs(rebuilt.eval()), outputs(smaller)))
    kept = epochs[-1].state["kept"]
    assert sum(len(indices) for indices in kept[-1].values()) == units(smaller, kind)


@pytest.mark.parametrize("how", WEIGHTS)
@pytest.mark.parametrize("name", KINDS)
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
    ("name", "kinds"),
    [("cnn", ["hidden", "width"]), ("gru", ["hidden", "width"]), ("conformer", ["channels", "feed_forward", "width"])],
)
def test_keywords_shrink_too(name: str, kinds: list[str], how: str) -> None:
    model = fresh(name, "keyword")
    *_, last = run(model, shrink_of(how, *kinds))
    before = units(model, *kinds)
    assert units(final(model, last), *kinds) == before - round(0.4 * before)


def saved_and_loaded(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded


def resumed(how: str, kinds: list[str]) -> Shrink:
    taylor = {"op": "prune_units", "kinds": kinds, "sparsity": 0.4, "importance": {"by": "taylor", "batches": 1}}
    ways: dict[str, dict[str, Any]] = {
        "gates": {**UNITS["gates"], "kinds": [*kinds, "width"]},
        "group_lasso": {**UNITS["group_lasso"], "kinds": kinds},
        "gradual units": {**UNITS["gradual"], "prune": taylor},
        "lasso budget": {"how": "group_lasso", "kinds": kinds, "epochs": 1, "budget": {"params": 4000}},
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
@pytest.mark.parametrize(("name", "kinds"), [("gru", ["hidden"]), ("conformer", ["channels", "feed_forward"])])
def test_resuming_in_any_phase_equals_never_stopping(name: str, kinds: list[str], how: str) -> None:
    """To the bit, weights, masks and metrics; a kill comes in each phase and at each of their ends."""
    shrink = resumed(how, kinds)
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
    epochs = list(run(model, ADAPTER.validate_python({**UNITS["gates"], "kinds": ["hidden"], "epochs": 3}), settings,
                      validate=validate))  # fmt: skip
    assert [e.index for e in epochs] == list(range(7))
    assert epochs[-1].state["inner"]["best_epoch"] == 4
    assert [e.metrics["phase"] for e in epochs] == [0, 0, 0, 1, 1, 1, 1]
    assert [e.metrics.get("valid_error_at_cut") for e in epochs] == [None, None, None, 0.95, None, None, None]


def test_the_error_at_a_cut_is_that_of_what_was_left_untrained() -> None:
    """Weights that nothing trains: what is validated is the first model without its least half."""
    still = tiny_settings(optimiser={"name": "sgd", "rate": 1e-30})
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
    settings = tiny_settings(epochs=4, optimiser={"name": "adam", "rate": 1.0e-3}, **schedule)

    def rates(shrink: Shrink) -> list[float]:
        return [e.metrics["rate"] for e in run(fresh("cnn"), shrink, settings)]

    two = ADAPTER.validate_python({**UNITS["gates"], "kinds": ["hidden"], "epochs": 2})
    assert rates(two) == pytest.approx([0.5e-3, 0.0, 0.5e-3, 0.0])
    half = 2**-0.5
    steps = [0.5e-3 * (1 + half), 0.5e-3, 0.5e-3 * (1 - half), 0.0]
    assert rates(shrink_of("gradual", "hidden")) == pytest.approx(steps)


def test_whole_layers_go_gradually() -> None:
    model = fresh("gru")
    prune = {"op": "prune_units", "kinds": ["layers"], "sparsity": 0.7}
    *_, last = run(model, ADAPTER.validate_python({**UNITS["gradual"], "prune": prune}))
    assert units(final(model, last), "layers") == 1


def test_gates_end_with_a_share_of_parameters() -> None:
    model = fresh("conformer")
    shrink = {**UNITS["gates"], "kinds": ["heads", "feed_forward", "channels"], "of": "params", "sparsity": 0.2}
    epochs = list(run(model, ADAPTER.validate_python(shrink)))
    params = [e.metrics["params"] for e in epochs]
    assert 0.72 * params[0] < params[-1] <= 0.8 * params[0]
    assert {"expected_sparsity", "target_sparsity", "penalty", "multiplier"} <= epochs[0].metrics.keys()


def within(most: int, *kinds: str) -> Shrink:
    return ADAPTER.validate_python({"how": "group_lasso", "kinds": kinds, "budget": {"params": most}, "epochs": 1})


@pytest.mark.parametrize("name", KINDS)
def test_group_lasso_meets_a_budget(name: str) -> None:
    model = fresh(name, problem_of(name))
    most = round(0.6 * count(model.settings))
    asked: list[tuple[ModelSettings, Any, Budget]] = []

    def heard(*what: Any) -> Cost:
        asked.append(what)
        return Cost(count)

    start, kinds = model.settings, KINDS[name]
    *_, last = run(model, within(most, *kinds), costs=heard)
    smaller = final(model, last)
    assert 0.5 * count(start) < sum(p.numel() for p in smaller.parameters()) <= most
    assert asked == [(start, tuple(kinds), Budget(params=most))]
    assert last.state["lineage"][0].startswith(f"remove units by group lasso to budget params {most:,}: ")


def steps_within(most: int, *kinds: str, steps: int = 3) -> Shrink:
    taylor = {"by": "taylor", "batches": 1}
    prune = {"op": "prune_units", "kinds": kinds, "importance": taylor, "budget": {"params": most}}
    return ADAPTER.validate_python({"how": "gradual", "epochs": 3, "steps": steps, "prune": prune})


@pytest.mark.parametrize("name", KINDS)
def test_steps_lead_to_a_budget_by_the_cubic_schedule(name: str) -> None:
    """Layers too; what a step leaves costs no more than its share of the way allows, and little less."""
    model = fresh(name, problem_of(name))
    start, kinds = count(model.settings), KINDS[name] + (["layers"] if name != "patch_cnn" else [])
    most = round(0.5 * start)
    epochs = list(run(model, steps_within(most, *kinds)))
    allowed = [most + (start - most) * left for left in ((2 / 3) ** 3, (1 / 3) ** 3, 0)]
    sizes = [e.metrics["params"] for e in epochs]
    assert sizes[0] == start
    assert all(0.75 * most <= size <= much for size, much in zip(sizes[1:], allowed, strict=True))
    smaller = final(model, epochs[-1])
    assert sum(p.numel() for p in smaller.parameters()) == sizes[-1]
    lineage = epochs[-1].state["lineage"]
    assert lineage[-1].startswith(f"prune units by taylor to budget params {most:,}, step 3 of 3: ")


def test_a_step_whose_budget_is_met_removes_nothing() -> None:
    """Budgets of many steps lie nearer to each other than sizes do."""
    model = fresh("gru")
    start = count(model.settings)
    shrink = steps_within(round(0.9 * start), "layers", "hidden", steps=3)

    def two_sizes(settings: ModelSettings) -> float:
        return start if settings == model.settings else 0.89 * start

    last = list(run(model, shrink, costs=lambda *_: Cost(two_sizes)))[-1]
    first, *later = last.state["kept"]
    assert first
    assert later == [{}, {}]
    assert all(line.endswith("it is met already") for line in last.state["lineage"][1:])


def test_steps_lead_to_no_time() -> None:
    prune = {"op": "prune_units", "kinds": ["hidden"], "budget": {"latency_ms": 1.0}}
    with pytest.raises(ValueError, match=r"prune\.budget: a time differs at each step: name params, size_bytes"):
        ADAPTER.validate_python({"how": "gradual", "epochs": 3, "steps": 3, "prune": prune})


@pytest.mark.parametrize("shrink_within", [within, steps_within])
def test_a_student_that_has_shrunk_goes_on_where_models_cost_more(shrink_within: Callable[..., Shrink]) -> None:
    """As times do on another machine, or beside other work."""
    model = fresh("gru")
    shrink = shrink_within(round(0.6 * count(model.settings)), "hidden", "width")
    whole = [(e.metrics, saved_and_loaded(e.state)) for e in run(model, shrink, tiny_settings(epochs=5))]
    dear = {"costs": lambda *_: Cost(lambda settings: 100 * count(settings))}
    rest = list(run(fresh("gru"), shrink, tiny_settings(epochs=5), resume=whole[3][1], **dear))
    assert [e.metrics for e in rest] == [metrics for metrics, _ in whole[4:]]


def test_a_budget_is_refused_before_the_first_epoch() -> None:
    for shrink_within in (within, steps_within):
        with pytest.raises(ValueError, match="shrink: budget params 5 cannot be met by removing hidden: the smallest"):
            next(run(fresh("cnn"), shrink_within(5, "hidden")))
        with pytest.raises(ValueError, match="shrink: budget params 100,000 is met already"):
            next(run(fresh("cnn"), shrink_within(100_000, "hidden")))
        with pytest.raises(ValueError, match="shrink: budget params 5 needs to know what models cost: give costs"):
            next(run(fresh("cnn"), shrink_within(5, "hidden"), costs=None))


def test_group_lasso_has_one_amount() -> None:
    plain = {"how": "group_lasso", "kinds": ["hidden"], "epochs": 1}
    for both in ({}, {"sparsity": 0.5, "budget": {"params": 9}}):
        with pytest.raises(ValueError, match="give either sparsity or budget, and only one of them"):
            ADAPTER.validate_python({**plain, **both})
    with pytest.raises(ValueError, match="of is for sparsity"):
        ADAPTER.validate_python({**plain, "budget": {"params": 9}, "of": "units"})
    assert "budget" not in ADAPTER.validate_python({**plain, "sparsity": 0.5}).model_dump(), "its hash names its cell"
    budgeted = within(9, "hidden")
    assert ADAPTER.validate_python(budgeted.model_dump()) == budgeted


def test_what_cannot_shrink_is_refused_before_the_first_epoch() -> None:
    with pytest.raises(ValueError, match=r"shrink: kinds: cnn has no dimension 'heads'"):
        next(run(fresh("cnn"), shrink_of("gates", "heads")))
    with pytest.raises(ValueError, match=r"shrink: sparsity 0.4 of 1708 parameters cannot be reached"):
        next(run(fresh("cnn"), ADAPTER.validate_python({**UNITS["gates"], "kinds": ["stem"], "of": "params"})))


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
    prune = {"op": "prune_units", "kinds": ["hidden"], "sparsity": 0.4}
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


def test_in_eight_bits_a_cut_is_validated_as_the_epochs_are() -> None:
    def rounded(model: Recogniser) -> dict[str, float]:
        return {"valid_error": float(sum("forward" in vars(m) for m in model.modules())), "valid_loss": 0.0}

    shrink = ADAPTER.validate_python({**UNITS["gates"], "kinds": ["hidden"], "epochs": 1})
    epochs = list(run(fresh("cnn"), shrink, tiny_settings(epochs=2, quantised="int8"), validate=rounded))
    assert epochs[1].metrics["valid_error_at_cut"] == epochs[1].metrics["valid_error"] > 0
