"""Losses as pure functions of tensors, in two tables that fit one screen.

`counts` says what a loss is a mean over, which is how several processes weigh their parts of a batch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from kd.losses.labels import cross_entropy, ctc
from kd.losses.soft_targets import soft_targets

__all__ = ["LABEL_LOSSES", "MATCHING_LOSSES", "MatchingLoss", "cross_entropy", "ctc", "soft_targets"]


@dataclass(frozen=True)
class MatchingLoss:
    """An entry: `function(student_BTV, teacher_BTV, lengths_B, *, settings) -> 0-dim tensor`.

    zero_at_identity: the loss of a student equal to its teacher is 0 (true for divergences).
    """

    function: Callable[..., Tensor]
    counts: Literal["frames", "utterances"]
    zero_at_identity: bool

    def __call__(self, student_BTV: Tensor, teacher_BTV: Tensor, lengths_B: Tensor, *, settings: Any) -> Tensor:
        return self.function(student_BTV, teacher_BTV, lengths_B, settings=settings)


MATCHING_LOSSES = {
    "soft_targets": MatchingLoss(soft_targets, counts="frames", zero_at_identity=True),
}

# By problem: (logits_BTV, lengths_B, targets_BL, target_lengths_B) -> 0-dim tensor, mean over utterances.
LABEL_LOSSES = {
    "transcription": ctc,
    "keyword": cross_entropy,
}
