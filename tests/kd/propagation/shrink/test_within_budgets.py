"""Budgets of students that shrink: met at the end, by steps too, and refused before the first epoch."""

from collections.abc import Callable
from typing import Any

import pytest
from tiny_shrinking import (
    ADAPTER,
    DIMS,
    count,
    final,
    problem_of,
    run,
)
from tiny_training import fresh, saved_and_loaded, tiny_settings

from kd.config.models import ModelSettings
from kd.config.propagation import Budget
from kd.config.shrink import Shrink
from kd.propagation.budget import Cost


def within(most: int, *dims: str) -> Shrink:
    return ADAPTER.validate_python({"how": "group_lasso", "dims": dims, "budget": {"params": most}, "epochs": 1})


@pytest.mark.parametrize("name", DIMS)
def test_group_lasso_meets_a_budget(name: str) -> None:
    model = fresh(name, problem_of(name))
    most = round(0.6 * count(model.settings))
    asked: list[tuple[ModelSettings, Any, Budget]] = []

    def heard(*what: Any) -> Cost:
        asked.append(what)
        return Cost(count)

    start, dims = model.settings, DIMS[name]
    *_, last = run(model, within(most, *dims), costs=heard)
    smaller = final(model, last)
    assert 0.5 * count(start) < sum(p.numel() for p in smaller.parameters()) <= most
    assert asked == [(start, tuple(dims), Budget(params=most))]
    assert last.state["lineage"][0].startswith(f"remove units by group lasso to budget params {most:,}: ")


def steps_within(most: int, *dims: str, steps: int = 3) -> Shrink:
    taylor = {"by": "taylor", "batches": 1}
    prune = {"op": "prune_units", "dims": dims, "importance": taylor, "budget": {"params": most}}
    return ADAPTER.validate_python({"how": "gradual", "epochs": 3, "steps": steps, "prune": prune})


@pytest.mark.parametrize("name", DIMS)
def test_steps_lead_to_a_budget_by_the_cubic_schedule(name: str) -> None:
    """Layers too; what a step leaves costs no more than its share of the way allows, and little less."""
    model = fresh(name, problem_of(name))
    start, dims = count(model.settings), DIMS[name] + (["layers"] if name != "patch_cnn" else [])
    most = round(0.5 * start)
    epochs = list(run(model, steps_within(most, *dims)))
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
    prune = {"op": "prune_units", "dims": ["hidden"], "budget": {"latency_ms": 1.0}}
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
    plain = {"how": "group_lasso", "dims": ["hidden"], "epochs": 1}
    for both in ({}, {"sparsity": 0.5, "budget": {"params": 9}}):
        with pytest.raises(ValueError, match="give exactly one of sparsity, budget; found"):
            ADAPTER.validate_python({**plain, **both})
    with pytest.raises(ValueError, match="of is for sparsity"):
        ADAPTER.validate_python({**plain, "budget": {"params": 9}, "of": "units"})
    assert "budget" not in ADAPTER.validate_python({**plain, "sparsity": 0.5}).model_dump(), "its hash names its cell"
    budgeted = within(9, "hidden")
    assert ADAPTER.validate_python(budgeted.model_dump()) == budgeted
