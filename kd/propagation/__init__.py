"""Propagation: f_s = f_t ⊕ O. An operator takes a model and gives a new one, and says what it kept."""

from kd.propagation.operators import Calibrate, CannotShrinkError, Propagated, propagate
from kd.propagation.select import apply

__all__ = ["Calibrate", "CannotShrinkError", "Propagated", "apply", "propagate"]
