"""Optimisers and schedules by their settings."""

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from kd.config.training import Constant, Cosine, Optimiser, Schedule, Step, TrainingSettings

OPTIMISERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
}
FUSED = ("sgd", "adam", "adamw")
ENCODER = "model.encoder."


Group = tuple[float, list[nn.Parameter]]
"""A factor of the learning rate, and whose it is."""


def make_optimiser(groups: Sequence[Group], settings: Optimiser) -> Optimizer:
    """An optimiser whose step is one kernel for each tensor, where torch has such: half the time of one of many."""
    knobs = settings.model_dump(exclude={"name", "lr"})
    if settings.name in FUSED:
        knobs["fused"] = True
    parts = [{"params": parameters, "lr": factor * settings.lr} for factor, parameters in groups]
    return OPTIMISERS[settings.name](parts, lr=settings.lr, **knobs)


def learning_rates(named: Iterable[tuple[str, nn.Parameter]], settings: TrainingSettings, layers: int) -> list[Group]:
    """Parameters by the factor of their learning rate, the greatest of the encoder's first.

    named: those of a recogniser and of what is trained beside it. Layer i of L has layer_decay ** (L - 1 - i), what
    comes before the layers layer_decay ** L, what comes behind them 1; the output layer, and what is beside the model,
    head_lr. Layer-wise rates: Howard & Ruder 2018 (arXiv:1801.06146), sec. 3.2.
    """
    groups: dict[float, list[nn.Parameter]] = {1.0: []}
    for name, parameter in named:
        groups.setdefault(_factor(name, settings, layers), []).append(parameter)
    return [(factor, parameters) for factor, parameters in groups.items() if parameters]


def _factor(name: str, settings: TrainingSettings, layers: int) -> float:
    if not name.startswith(ENCODER):
        return 1.0 if settings.head_lr is None else settings.head_lr / settings.optimiser.lr
    part, _, rest = name.removeprefix(ENCODER).partition(".")
    if part == "layers":
        return float(settings.layer_decay ** (layers - 1 - int(rest.split(".")[0])))
    return 1.0 if part == "norm" else float(settings.layer_decay**layers)


def make_schedule(optimiser: Optimizer, settings: Schedule, total_steps: int, first_step: int = 0) -> LambdaLR:
    """A schedule that is stepped once per batch, from its step `first_step` on."""
    return LambdaLR(optimiser, lambda step: rate_factor(settings, first_step + step, total_steps))


def rate_factor(settings: Schedule, step: int, total_steps: int) -> float:
    """The learning rate at a step (from 0) as a share of its peak: linear warm-up, then the schedule's shape."""
    warmup = round(settings.warmup_share * total_steps)
    if step < warmup:
        return (step + 1) / warmup
    if isinstance(settings, Constant):
        return 1.0
    progress = (step - warmup) / max(1, total_steps - warmup)
    if isinstance(settings, Cosine):
        return settings.floor + (1 - settings.floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    assert isinstance(settings, Step)
    return float(settings.factor ** math.floor(progress / settings.every_share))
