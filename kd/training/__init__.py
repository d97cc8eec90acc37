"""Training: the objective, optimisers, and a loop that yields its state epoch by epoch."""

from kd.training.inputs import Inputs
from kd.training.loop import Batches, Epoch, Span, TrainingDivergedError, TrainingTask, fit
from kd.training.objective import Objective

__all__ = ["Batches", "Epoch", "Inputs", "Objective", "Span", "TrainingDivergedError", "TrainingTask", "fit"]
