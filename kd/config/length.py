"""How long a training lasts (steps of its optimiser, epochs, or by the hours of speech), and what follows from it."""

from dataclasses import dataclass
from math import ceil, sqrt

LEAST_STEPS, MOST_STEPS = 4_000, 40_000
AVERAGED_SHARE = 0.1
"""Share of a training's steps over which a moving average of its weights reaches back."""
PATIENT_SHARE = 0.25
"""Share of a training's steps that it may go on without a better validation error."""


@dataclass(frozen=True)
class Length:
    """`steps` of the optimiser, in epochs of `per_epoch` each, the last of which may be shorter."""

    steps: int
    per_epoch: int

    @property
    def epochs(self) -> int:
        return ceil(self.steps / self.per_epoch)

    def before(self, epoch: int) -> int:
        """Steps before an epoch (from 0) begins; before those that never come, all."""
        return min(epoch * self.per_epoch, self.steps)

    def within(self, first: int, end: int) -> int:
        """Steps from an epoch up to, without it, another."""
        return self.before(end) - self.before(first)


def steps_for(hours: float) -> int:
    """Steps for so many hours of training speech, where neither steps nor epochs are given.

    They grow with the root of the hours: a little speech needs many epochs, much of it few. In between
    4,000 √hours, to whole hundreds.

    | hours | steps  |
    |------:|-------:|
    | ≤ 1   | 4,000  |
    | 2     | 5,700  |
    | 10    | 12,600 |
    | 50    | 28,300 |
    | ≥ 100 | 40,000 |
    """
    return min(MOST_STEPS, max(LEAST_STEPS, 100 * round(LEAST_STEPS * sqrt(hours) / 100)))


def averaging_for(steps: int) -> float:
    """Decay a step of a moving average that reaches back over `AVERAGED_SHARE` of so many steps."""
    return 1 - 1 / max(2.0, AVERAGED_SHARE * steps)


def patience_for(length: Length) -> int:
    """Epochs without a better validation error after which a training ends: `PATIENT_SHARE` of its steps."""
    return max(1, ceil(PATIENT_SHARE * length.steps / length.per_epoch))
