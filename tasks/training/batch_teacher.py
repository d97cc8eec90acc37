"""A teacher as a training asks it, batch by batch: posteriors, inner states, hypotheses, or nothing.

Where they come from is decided once, in tasks.teachers.supply. Legend: B utterances, N samples, T frames, V units.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple, Protocol, Self

import torch
from torch import Tensor

from kd.audio.augment import AS_RECORDED, at_speeds
from kd.config.models import EncoderSettings
from kd.teachers.hypotheses import Hypotheses, Row
from kd.training.states import States
from tasks.data.prepared import Batch, Utterance
from tasks.training.hypothesis_table import HypothesisTable


@dataclass(frozen=True, eq=False)
class TeacherBatch:
    """A batch as a teacher gets it: at the student's speeds, so that frames stay together, but without its noise."""

    batch: Batch
    utterances: Sequence[Utterance]
    speeds: Sequence[Fraction]

    @classmethod
    def of(cls, batch: Batch, utterances: Sequence[Utterance], speeds: Sequence[Fraction] | None = None) -> Self:
        """A batch of these utterances, at these speeds or as recorded."""
        chosen = [utterances[index] for index in batch.indices]
        return cls(batch, chosen, (AS_RECORDED,) * len(chosen) if speeds is None else speeds)

    @cached_property
    def audio(self) -> tuple[Tensor, Tensor]:
        """waveform_BN and lengths_B in samples, at the batch's speeds; made where somebody asks for it."""
        return at_speeds(self.batch.waveform_BN, self.batch.lengths_B, self.speeds)


class Posteriors(NamedTuple):
    """A teacher's posteriors of a batch: lengths_B are frames; states: its inner ones, None where it shows none."""

    log_probs_BTV: Tensor
    lengths_B: Tensor
    states: States | None = None


class PosteriorSource(Protocol):
    """Where posteriors come from; see tasks.teachers.logits and tasks.teachers.teacher_states.

    encoder: that whose states come with them; None where none come.
    """

    @property
    def encoder(self) -> EncoderSettings | None: ...

    def of(self, teacher_batch: TeacherBatch) -> Posteriors: ...


@dataclass(frozen=True)
class TeacherTargets:
    """What a student's loss compares with, of one batch; None is what its teacher does not give, or no loss reads.

    log_probs_BTV and states have lengths_B frames.
    """

    log_probs_BTV: Tensor | None = None
    lengths_B: Tensor | None = None
    states: States | None = None
    hypotheses: Hypotheses | None = None

    def to(self, device: torch.device) -> "TeacherTargets":
        return TeacherTargets(
            log_probs_BTV=None if self.log_probs_BTV is None else self.log_probs_BTV.to(device),
            lengths_B=None if self.lengths_B is None else self.lengths_B.to(device),
            states=None if self.states is None else self.states.to(device),
            hypotheses=None if self.hypotheses is None else self.hypotheses.to(device),
        )


@dataclass(frozen=True)
class BatchTeacher:
    """A teacher that is ready to be asked.

    hypotheses: what it believes was said; speed does not change that.
    """

    posteriors: PosteriorSource | None = None
    hypotheses: HypothesisTable | None = None

    @property
    def encoder(self) -> EncoderSettings | None:
        """Settings of the encoder whose inner states it gives; None where it gives none."""
        return None if self.posteriors is None else self.posteriors.encoder

    def believes(self, utterance: Utterance) -> Row:
        """Its hypotheses of an utterance, which must fit into the student's frames."""
        return () if self.hypotheses is None else self.hypotheses.rows.get(utterance.id, ())

    def of(self, teacher_batch: TeacherBatch) -> TeacherTargets:
        hypotheses = None if self.hypotheses is None else self.hypotheses.batch(teacher_batch.batch.ids)
        if self.posteriors is None:
            return TeacherTargets(hypotheses=hypotheses)
        log_probs_BTV, lengths_B, states = self.posteriors.of(teacher_batch)
        return TeacherTargets(log_probs_BTV, lengths_B, states, hypotheses)


NO_TEACHER = BatchTeacher()
"""Gives nothing of any batch."""
