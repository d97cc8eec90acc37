"""Optimisers and schedules by their settings."""

import math
from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from kd.config.training import Constant, Cosine, Optimiser, Schedule, Step

OPTIMISERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
}
FUSED = ("sgd", "adam", "adamw")


def make_optimiser(parameters: Iterable[nn.Parameter], settings: Optimiser) -> Optimizer:
    """An optimiser whose step is one kernel for each tensor, where torch has such: half the time of one of many."""
    knobs = settings.model_dump(exclude={"name", "lr"})
    if settings.name in FUSED:
        knobs["fused"] = True
    return OPTIMISERS[settings.name](list(parameters), lr=settings.lr, **knobs)


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
