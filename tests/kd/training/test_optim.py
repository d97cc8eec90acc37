"""Schedules by hand, and optimisers as torch has them."""

from typing import Any

import pytest
import torch
from precision import FLOAT32
from pydantic import TypeAdapter

from kd.config.training import Optimiser, Schedule
from kd.training.optim import OPTIMISERS, make_optimiser, make_schedule, rate_factor

KNOBS: dict[str, dict[str, Any]] = {
    "sgd": {"momentum": 0.8, "weight_decay": 0.1},
    "adam": {"weight_decay": 0.1},
    "adamw": {"weight_decay": 0.2},
    "rmsprop": {"momentum": 0.7, "weight_decay": 0.1},
}


def schedule(**settings: Any) -> Schedule:
    result: Schedule = TypeAdapter(Schedule).validate_python(settings)
    return result


@pytest.mark.parametrize(
    ("settings", "total", "expected"),
    [
        ({"name": "constant"}, 4, [1, 1, 1, 1]),
        ({"name": "constant", "warmup_share": 0.5}, 8, [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]),
        ({"name": "cosine", "warmup_share": 0.0, "floor": 0.0}, 4, [1, 0.853553, 0.5, 0.146447, 0]),
        ({"name": "cosine", "warmup_share": 0.0, "floor": 0.2}, 2, [1, 0.6, 0.2, 0.2]),
        ({"name": "cosine", "warmup_share": 0.5, "floor": 0.0}, 4, [0.5, 1, 1, 0.5, 0]),
        ({"name": "step", "every_share": 0.25, "factor": 0.1}, 8, [1, 1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001]),
        ({"name": "step", "warmup_share": 0.2, "every_share": 0.5, "factor": 0.5}, 10, [0.5, 1] + [1] * 4 + [0.5] * 4),
    ],
)
def test_schedules_by_hand(settings: dict[str, Any], total: int, expected: list[float]) -> None:
    shape = schedule(**settings)
    assert [rate_factor(shape, step, total) for step in range(len(expected))] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ["constant", "cosine", "step"])
@pytest.mark.parametrize("total", [1, 7, 100])
def test_a_rate_is_never_above_its_peak_or_below_0(name: str, total: int) -> None:
    factors = [rate_factor(schedule(name=name, warmup_share=0.3), step, total) for step in range(total + 1)]
    assert all(0 < f <= 1 for f in factors)
    assert max(factors) == 1


@pytest.mark.parametrize("name", OPTIMISERS)
def test_optimisers_take_their_knobs(name: str) -> None:
    settings: Optimiser = TypeAdapter(Optimiser).validate_python({"name": name, "lr": 0.25, **KNOBS[name]})
    optimiser = make_optimiser([(1.0, [torch.nn.Parameter(torch.ones(2))])], settings)
    assert type(optimiser).__name__.lower() == name
    (group,) = optimiser.param_groups
    assert {key: group[key] for key in ("lr", *KNOBS[name])} == {"lr": 0.25, **KNOBS[name]}


def test_sgd_by_hand() -> None:
    """Weight 1, gradient 2, decay 0.1, rate 0.25 and halved: 1 - 0.25·2.1 = 0.475; then 0.475 - 0.125·2.0475."""
    weight = torch.nn.Parameter(torch.ones(1))
    settings: Optimiser = TypeAdapter(Optimiser).validate_python(
        {"name": "sgd", "lr": 0.25, "momentum": 0.0, "weight_decay": 0.1}
    )
    optimiser = make_optimiser([(1.0, [weight])], settings)
    steps = make_schedule(optimiser, schedule(name="step", every_share=0.5, factor=0.5), 2)
    for expected in (0.475, 0.475 - 0.125 * 2.0475):
        optimiser.zero_grad()
        (2 * weight).sum().backward()
        optimiser.step()
        steps.step()
        assert weight.item() == pytest.approx(expected, rel=FLOAT32)
