"""One batch as training takes it. Legend: B utterances, T frames, F mel bins, V units, L padded targets."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kd.teachers.hypotheses import Hypotheses
from kd.training.states import States


@dataclass(frozen=True, eq=False)
class Inputs:
    """Features of the student's view, its labels, and its teachers' logits, hypotheses or states of them.

    target_lengths_B: 0 marks an utterance without a label.
    teacher_BTV: a teacher's logits over the student's units; None without one that gives any.
    teacher_lengths_B: their frames; None: the same as the student's.
    hypotheses: what teachers believe was said; None where no loss asks for it.
    states: inner states of a teacher; None where no loss asks for them.
    second_BTF: another view of the same audio, of the same frames; None where no loss compares two.
    """

    features_BTF: Tensor
    lengths_B: Tensor
    targets_BL: Tensor
    target_lengths_B: Tensor
    teacher_BTV: Tensor | None = None
    hypotheses: Hypotheses | None = None
    second_BTF: Tensor | None = None
    teacher_lengths_B: Tensor | None = None
    states: States | None = None

    def both_views(self) -> "Inputs":
        """A batch of twice as many utterances: all in the first view, then all in the second."""
        if self.second_BTF is None:
            raise ValueError(
                "the objective compares two views of a batch, but the batch has only one: give second_BTF, or remove "
                "cr_ctc"
            )
        return Inputs(
            torch.cat([self.features_BTF, self.second_BTF]),
            _twice(self.lengths_B),
            _twice(self.targets_BL),
            _twice(self.target_lengths_B),
            None if self.teacher_BTV is None else _twice(self.teacher_BTV),
            None if self.hypotheses is None else self.hypotheses.twice(),
            None,
            None if self.teacher_lengths_B is None else _twice(self.teacher_lengths_B),
            None if self.states is None else self.states.twice(),
        )

    def groups(self, count: int) -> list["Inputs"]:
        """The utterances in order in so many groups, whose sizes differ by at most one; 1 <= count <= B."""
        size = len(self.lengths_B)
        return [self._rows(slice(size * i // count, size * (i + 1) // count)) for i in range(count)]

    def _rows(self, which: slice) -> "Inputs":
        return Inputs(
            self.features_BTF[which],
            self.lengths_B[which],
            self.targets_BL[which],
            self.target_lengths_B[which],
            None if self.teacher_BTV is None else self.teacher_BTV[which],
            None if self.hypotheses is None else self.hypotheses.rows(which),
            None if self.second_BTF is None else self.second_BTF[which],
            None if self.teacher_lengths_B is None else self.teacher_lengths_B[which],
            None if self.states is None else self.states.rows(which),
        )


def _twice(x: Tensor) -> Tensor:
    return torch.cat([x, x])
