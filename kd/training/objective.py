"""min E[ labels * L(f_s(x), y) + beta * L(f_s(x), f_t(x)) ]: one number, and its parts for the meters."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kd.losses import LABEL_LOSSES, MATCHING_LOSSES
from kd.settings.losses import ObjectiveSettings


@dataclass(frozen=True)
class Parts:
    """The two terms of an objective before weighting (None where unused), and how many they are means over."""

    label: Tensor | None
    match: Tensor | None
    label_count: int
    match_count: int


class Objective:
    """The project's objective for one problem, `transcription` or `keyword`."""

    def __init__(self, settings: ObjectiveSettings, problem: str) -> None:
        self.settings = settings
        self.label_loss = LABEL_LOSSES[problem]
        self.matching_loss = MATCHING_LOSSES[settings.match.name]

    @property
    def uses_teacher(self) -> bool:
        return self.settings.beta > 0

    def parts(
        self,
        logits_BTV: Tensor,
        lengths_B: Tensor,
        targets_BL: Tensor,
        target_lengths_B: Tensor,
        teacher_BTV: Tensor | None,
    ) -> Parts:
        """Both terms for one batch; teacher_BTV has the student's frames and units, or is None."""
        label = match = None
        if self.settings.labels > 0:
            label = self.label_loss(logits_BTV, lengths_B, targets_BL, target_lengths_B)
        if self.uses_teacher:
            if teacher_BTV is None:
                raise ValueError("the objective has a teacher's term (beta > 0) but the batch has no teacher output")
            _require_same_shape(logits_BTV, teacher_BTV)
            match = self.matching_loss(logits_BTV, teacher_BTV, lengths_B, settings=self.settings.match)
        counts = {"frames": int(lengths_B.sum()), "utterances": len(lengths_B), "batch": 1}
        return Parts(label, match, len(lengths_B), counts[self.matching_loss.counts])

    def total(self, parts: Parts, label_weight: float = 1.0, match_weight: float = 1.0) -> Tensor:
        """The weighted sum; the extra weights make one process's share of a batch count rightly."""
        terms = []
        if parts.label is not None:
            terms.append(self.settings.labels * label_weight * parts.label)
        if parts.match is not None:
            terms.append(self.settings.beta * match_weight * parts.match)
        return torch.stack(terms).sum()


def _require_same_shape(student_BTV: Tensor, teacher_BTV: Tensor) -> None:
    if student_BTV.shape != teacher_BTV.shape:
        raise ValueError(
            f"student and teacher differ in (utterances, frames, units): {tuple(student_BTV.shape)} and "
            f"{tuple(teacher_BTV.shape)}. Give both the same subsampling and units"
        )
