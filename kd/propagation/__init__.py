"""Propagation: f_s = f_t ⊕ O. An operator takes a model and gives a new one, and says what it kept."""

from kd.propagation.errors import CannotShrinkError
from kd.propagation.operators import Calibrate, Propagated, propagate
from kd.propagation.select import apply

__all__ = ["Calibrate", "CannotShrinkError", "Propagated", "apply", "propagate"]
