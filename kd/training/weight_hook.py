"""What acts on a model's weights while it is trained, beside its objective; the loop knows no kinds of it."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol


class WeightHook(Protocol):
    """Called by the loop in each step: within `acting` forward and backward, then `press`, then the optimiser."""

    def acting(self, training: bool) -> AbstractContextManager[None]:
        """Within, the model's weights are those that act; outside, those that are trained."""
        ...

    def press(self) -> None:
        """Turn the gradients of the weights that acted into those of the trained ones, and add its own."""
        ...

    def metrics(self) -> dict[str, float]:
        """What an epoch's history says of it."""
        ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class NoWeightHook:
    """The weights act as they are."""

    def acting(self, training: bool) -> AbstractContextManager[None]:
        return nullcontext()

    def press(self) -> None:
        return

    def metrics(self) -> dict[str, float]:
        return {}

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        return
