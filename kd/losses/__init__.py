"""Losses as pure functions of tensors. Registries: DISTILL_LOSSES and SELF_LOSSES here, LABEL_LOSSES in `labels`."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from torch import Tensor

from kd.config.losses import ShiftTolerant
from kd.losses.blank_selected import blank_selected
from kd.losses.consistency import consistency, intermediate_ctc
from kd.losses.decoupled import decoupled
from kd.losses.dist import dist
from kd.losses.features import features
from kd.losses.guided_ctc import guided_ctc
from kd.losses.hypotheses import from_hypotheses, keyword_from_hypotheses
from kd.losses.labels import LABEL_LOSSES, cross_entropy, ctc
from kd.losses.relational import relational
from kd.losses.shift_tolerant import shift_tolerant
from kd.losses.soft_targets import soft_targets

__all__ = ["DISTILL_LOSSES", "LABEL_LOSSES", "SELF_LOSSES", "DistillLoss", "cross_entropy", "ctc", "soft_targets"]


@dataclass(frozen=True)
class DistillLoss:
    """An entry: `function(student_BTV, what it needs of the teacher, lengths_B, *, settings) -> 0-dim tensor`.

    counts: what it is a mean over, which is how several processes weigh their parts of a batch; `batch` means that
    it looks across utterances, so that it cannot be put together from parts.
    zero_at_identity: whether, with these settings, the loss of a student equal to its teacher is 0, as divergences are.
    needs: what it compares the student's logits with: the teacher's logits_BTV, or Hypotheses; or what it compares in
    place of logits: states of paired layers, or each utterance's embedding.
    for_keywords: takes the function's place where an utterance is one frame and CTC has no blank.
    """

    function: Callable[..., Tensor]
    counts: Literal["frames", "utterances", "batch"]
    zero_at_identity: Callable[[Any], bool]
    needs: Literal["logits", "hypotheses", "layers", "embeddings"] = "logits"
    for_keywords: Callable[..., Tensor] | None = None

    def of(self, problem: str) -> Self:
        """The entry for `transcription` or `keyword`."""
        return replace(self, function=self.for_keywords) if problem == "keyword" and self.for_keywords else self

    def __call__(self, student_BTV: Tensor, teacher: Any, lengths_B: Tensor, *, settings: Any) -> Tensor:
        return self.function(student_BTV, teacher, lengths_B, settings=settings)


@dataclass(frozen=True)
class SelfLoss:
    """An entry: `function` of a model's own logits gives a 0-dim tensor, mean over utterances.

    needs: what it takes beside the logits of one view and their lengths.
    """

    function: Callable[..., Tensor]
    needs: tuple[Literal["second view", "inner layers", "targets"], ...]


def _always(_: Any) -> bool:
    return True


def _never(_: Any) -> bool:
    return False


def _hard(settings: ShiftTolerant) -> bool:
    """Soft-least takes a mean over delays, of which identity makes only one 0."""
    return settings.softness == 0


DISTILL_LOSSES = {
    "soft_targets": DistillLoss(soft_targets, counts="frames", zero_at_identity=_always),
    "blank_selected": DistillLoss(blank_selected, counts="frames", zero_at_identity=_always),
    "guided_ctc": DistillLoss(guided_ctc, counts="frames", zero_at_identity=_never),
    "shift_tolerant": DistillLoss(shift_tolerant, counts="utterances", zero_at_identity=_hard),
    "decoupled": DistillLoss(decoupled, counts="frames", zero_at_identity=_always),
    "dist": DistillLoss(dist, counts="batch", zero_at_identity=_always),
    "hypotheses": DistillLoss(
        from_hypotheses,
        counts="utterances",
        zero_at_identity=_never,
        needs="hypotheses",
        for_keywords=keyword_from_hypotheses,
    ),
    "features": DistillLoss(features, counts="frames", zero_at_identity=_always, needs="layers"),
    "relational": DistillLoss(relational, counts="batch", zero_at_identity=_always, needs="embeddings"),
}

SELF_LOSSES = {
    "cr_ctc": SelfLoss(consistency, needs=("second view",)),
    "intermediate_ctc": SelfLoss(intermediate_ctc, needs=("inner layers", "targets")),
}
