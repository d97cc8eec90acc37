"""What acts on a model's weights while it is trained, beside its objective; the loop knows no kinds of it."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol


class WeightHook(Protocol):
    """Called by the loop in each step: forward and backward within `acting`, `add_gradients`, the optimiser."""

    def acting(self, training: bool) -> AbstractContextManager[None]:
        """Within, the model's weights are those that act; outside, those that are trained."""
        ...

    def add_gradients(self) -> None:
        """Turn the gradients of the weights that acted into those of the trained ones, and add its own."""
        ...

    def metrics(self) -> dict[str, float]:
        """What an epoch's history says of it."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What a resume state holds of it, to be saved before the next step."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave; `state` stays the caller's."""
        ...


class NoWeightHook:
    """The weights act as they are."""

    def acting(self, training: bool) -> AbstractContextManager[None]:
        """Changes nothing: the weights that are trained act."""
        return nullcontext()

    def add_gradients(self) -> None:
        """Adds none."""
        return

    def metrics(self) -> dict[str, float]:
        """Empty."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Empty: it has no state."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes nothing from an empty state."""
        return
