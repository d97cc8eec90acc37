"""One batch as training takes it. Legend: B utterances, T frames, F mel bins, V units, L padded targets."""

from dataclasses import dataclass

from torch import Tensor

from kd.hypotheses import Hypotheses


@dataclass(frozen=True, eq=False)
class Inputs:
    """Features of the student's view, its labels, and what its teachers say of the same utterances.

    teacher_BTV: a teacher's logits, of the student's frames and units; None without one that gives any.
    hypotheses: what teachers believe was said; None where no loss asks for it.
    """

    features_BTF: Tensor
    lengths_B: Tensor
    targets_BL: Tensor
    target_lengths_B: Tensor
    teacher_BTV: Tensor | None = None
    hypotheses: Hypotheses | None = None
