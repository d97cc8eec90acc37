"""The weights of the best epoch so far, while a model trains."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from kd.training.best import better, score


class BestWeights:
    """The best epoch so far, and its weights."""

    def __init__(self) -> None:
        self.score: Sequence[float] = (math.inf, math.inf)
        self.epoch = -1
        self.weights: dict[str, Tensor] = {}

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> "BestWeights":
        """The record as it was when `saved` gave this part of the state."""
        record = cls()
        record.score, record.epoch, record.weights = state["best_score"], state["best_epoch"], state["best_weights"]
        return record

    def see(self, epoch: int, metrics: Mapping[str, float], weights: Mapping[str, Tensor]) -> None:
        """Keep a copy of an epoch's weights if it is better than all before."""
        if better(metrics, self.score):
            self.score, self.epoch = score(metrics), epoch
            self.weights = {name: t.detach().clone() for name, t in weights.items()}

    def stale(self, epoch: int, patience: int | None) -> bool:
        """Whether `patience` epochs up to this one were no better; never where it is None."""
        return patience is not None and epoch - self.epoch >= patience

    def saved(self) -> dict[str, Any]:
        """What a resume state holds of it."""
        return {"best_score": list(self.score), "best_epoch": self.epoch, "best_weights": self.weights}
