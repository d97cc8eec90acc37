"""Training: the objective, optimisers, and a loop that yields its state epoch by epoch."""

from kd.training.loop import Batches, Epoch, Inputs, TrainingDivergedError, fit
from kd.training.objective import Objective

__all__ = ["Batches", "Epoch", "Inputs", "Objective", "TrainingDivergedError", "fit"]
