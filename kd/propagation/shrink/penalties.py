"""Penalties on the size of weights, whose gradients draw weights, or whole units, to zero."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from kd.models import Dimension, Recogniser
from kd.propagation.importance import along

Penalty = Callable[[Mapping[str, Tensor]], Tensor]
"""(parameters by name) -> 0-dim."""


def l1(parameters: Mapping[str, Tensor]) -> Tensor:
    """Σ |w| over all weights of two or more axes: each is drawn to zero by a pull of 1."""
    return torch.stack([p.abs().sum() for p in parameters.values() if p.ndim > 1]).sum()


def group_lasso(parameters: Mapping[str, Tensor], dimensions: Sequence[Dimension]) -> Tensor:
    """Σ √n ‖w‖₂ over units, w the n weights that a unit couples; groups overlap here.

    Yuan & Lin 2006, "Model selection and estimation in regression with grouped variables",
    doi:10.1111/j.1467-9868.2005.00532.x.

    A weight is drawn to zero by its size over the root mean square of its unit: about 1.
    """
    return torch.stack([_roots(*coupled(parameters, dimension)) for dimension in dimensions]).sum()


def coupled(parameters: Mapping[str, Tensor], dimension: Dimension) -> tuple[Tensor, int]:
    """(units,) Σ w² over the weights that each unit couples, and how many they are."""
    squares, count = [], 0
    for axis in dimension.axes:
        if axis.tensor in parameters:  # and not one of a norm's running statistics
            squares.append(along(axis, dimension.size, parameters[axis.tensor].square()))
            count += parameters[axis.tensor].numel() // dimension.size
    return torch.stack(squares).sum(0), count


def _roots(squares: Tensor, count: int) -> Tensor:
    """Σ √count √squares; of a unit that is zero the gradient is 0."""
    tiny = torch.finfo(squares.dtype).tiny
    return (count * squares.clamp(min=tiny)).sqrt().sum()


class SparsityPenalty:
    """Adds the gradient of a weighted penalty in each step; see `kd.training.weight_hook.WeightHook`."""

    def __init__(self, model: Recogniser, penalty: Penalty, weight: float) -> None:
        self.parameters, self.penalty, self.weight = dict(model.named_parameters()), penalty, weight

    def acting(self, training: bool) -> AbstractContextManager[None]:
        """Changes nothing: the weights that are trained act."""
        return nullcontext()

    def add_gradients(self) -> None:
        """Add the gradient of weight * penalty to those of the parameters, in place."""
        (self.weight * self.penalty(self.parameters)).backward()  # type: ignore[no-untyped-call]

    def metrics(self) -> dict[str, float]:
        """The weighted penalty of the parameters as they are now."""
        with torch.no_grad():
            return {"penalty": self.weight * float(self.penalty(self.parameters))}

    def state_dict(self) -> dict[str, Any]:
        """Empty: a penalty depends on the weights alone."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes nothing from an empty state."""
        return
