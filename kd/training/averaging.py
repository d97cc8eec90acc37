"""A moving average of the weights over the steps of training, which has a lower error rate than the last of them.

After step n (from 0) it is d m + (1 - d) w, m the average so far and w the weights, d = min(decay, (1 + n) / (10 + n)):
at first it forgets fast, since the first weights are of no use. The first step's weights begin it. Batch statistics are
averaged as weights are; whole numbers, such as counts of batches, are the last ones.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from kd.models import Recogniser


class Average(Protocol):
    """Called by the loop after each step; what is validated and kept are its weights."""

    def add(self) -> None:
        """The model's weights after a step."""
        ...

    def acting(self) -> AbstractContextManager[None]:
        """Within, the model has the averaged weights; outside, those that are trained."""
        ...

    def weights(self) -> Mapping[str, Tensor]:
        """By their names in the model's state."""
        ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class NoAverage:
    """The weights as they are after the last step."""

    def __init__(self, model: Recogniser) -> None:
        self.model = model

    def add(self) -> None:
        return

    def acting(self) -> AbstractContextManager[None]:
        return nullcontext()

    def weights(self) -> Mapping[str, Tensor]:
        return self.model.state_dict()

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        return


class MovingAverage:
    """The exponential moving average, beside the model."""

    def __init__(self, model: Recogniser, decay: float) -> None:
        self.model, self.decay, self.count = model, decay, 0
        self.averaged = _copy(model.state_dict())

    @torch.no_grad()
    def add(self) -> None:
        now = self.model.state_dict()
        real = [name for name, tensor in now.items() if self.count and tensor.is_floating_point()]
        if real:
            towards = get_ema_multi_avg_fn(decay_after(self.count, self.decay))  # type: ignore[no-untyped-call]
            towards([self.averaged[name] for name in real], [now[name] for name in real], self.count)
        for name in now.keys() - set(real):
            self.averaged[name].copy_(now[name])
        self.count += 1

    @contextmanager
    def acting(self) -> Iterator[None]:
        trained = _copy(self.model.state_dict())
        self.model.load_state_dict(self.averaged)
        try:
            yield
        finally:
            self.model.load_state_dict(trained)

    def weights(self) -> Mapping[str, Tensor]:
        return self.averaged

    def state_dict(self) -> dict[str, Any]:
        return {"averaged": self.averaged, "count": self.count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name, tensor in state["averaged"].items():
            self.averaged[name].copy_(tensor)
        self.count = state["count"]


def make_average(model: Recogniser, decay: float | None) -> Average:
    """A moving average of the model's weights; null: none, and what is validated is the model itself."""
    return NoAverage(model) if decay is None else MovingAverage(model, decay)


def decay_after(steps: int, decay: float) -> float:
    """How much of the average stays at a step that so many went before."""
    return min(decay, (1 + steps) / (10 + steps))


def _copy(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in state.items()}
