"""Whether a training had come to its end when it ended."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

BLANK_ERROR = 0.9
GAIN, FIT = 0.05, 0.5


def unfinished(history: Sequence[Mapping[Any, float]]) -> str | None:
    """What speaks for a training that ended too early, in one sentence; None where nothing does.

    history: one mapping an epoch with train_loss, valid_error and valid_loss, and label_loss where the objective is
    more than the labels. Two things are said:

    - The least validation error is 90 % or more: CTC has hardly left the phase in which all is blank.
    - Validation was still improving: the least error falls by more than 5 % of itself in the last fifth of the epochs
      and did so in the fifth before, too, while the loss on the labels (mean of the last tenth) is more than half of
      the least on the validation part, so that the model had not learnt its training part by heart.

    The fifth before is asked since a falling learning rate lowers the error once more in the end, also of models that
    had long stood still; and the losses, since one that overfits needs other means than more steps. After patience
    has ended a training, its last epochs brought nothing, and it counts as finished. Fewer than three epochs tell
    nothing of this.
    """
    errors = [row["valid_error"] for row in history]
    if min(errors) >= BLANK_ERROR:
        return (
            f"its validation error never fell below {BLANK_ERROR:.0%} ({min(errors):.1%} at best), so it has learnt "
            "next to nothing: train longer, or change the learning rate"
        )
    if len(history) < 3 or not _still_falling(errors):
        return None
    last = history[-max(1, len(history) // 10) :]
    train = sum(row.get("label_loss", row["train_loss"]) for row in last) / len(last)
    valid = min(row["valid_loss"] for row in history)
    if train <= FIT * valid:
        return None
    return (
        f"its validation error was still falling when training ended ({_before(errors, 1):.1%} before the last fifth "
        f"of the {len(errors)} epochs, {min(errors):.1%} after it) and it had not learnt its training part by heart "
        f"(loss {train:.3g}, validation {valid:.3g}): train it longer"
    )


def _still_falling(errors: Sequence[float]) -> bool:
    """In each of the last two fifths by more than GAIN of what it was before."""
    least = [_before(errors, fifths) for fifths in (2, 1, 0)]
    return all(later < (1 - GAIN) * earlier for earlier, later in pairwise(least))


def _before(errors: Sequence[float], fifths: int) -> float:
    """The least error before so many last fifths."""
    return min(errors[: len(errors) - fifths * max(1, len(errors) // 5)])
