"""What a way of shrinking is, and what it may ask for."""

from dataclasses import dataclass
from typing import Protocol

from kd.config.models import ModelSettings
from kd.config.propagation import Budget, Dim
from kd.models import Recogniser
from kd.propagation.budget import Cost, Costs, cost_within
from kd.propagation.operators import Calibrate, Propagated
from kd.training.weight_hook import WeightHook


@dataclass(frozen=True)
class ShrinkContext:
    """What a method may ask for: calibration statistics from calibration batches, and what models cost.

    begins: training has not begun, so that what cannot be done is refused; a time that was met once is not asked again.
    """

    calibrate: Calibrate | None = None
    costs: Costs | None = None
    begins: bool = True

    def cost(self, settings: ModelSettings, dims: tuple[Dim, ...], budget: Budget) -> Cost:
        """For a budget; ValueError where none is known."""
        return cost_within(self.costs, settings, dims, budget)


class Method(Protocol):
    """cuts: epochs before which something goes, in order. anew: learning rates begin anew with each phase."""

    cuts: tuple[int, ...]
    anew: bool

    def weight_hook(self, model: Recogniser, steps: int, seed: int) -> WeightHook:
        """On a model that is trained in that many steps until the next cut."""
        ...

    def cut(self, source: Propagated, weight_hook: WeightHook, number: int) -> Propagated:
        """The smaller or sparser model after the cut of this number, from 0; `source` lies on the CPU."""
        ...
