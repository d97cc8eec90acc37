"""min E[ label_weight * L(f_s(x), y) + beta * sum_i w_i * L_i(f_s(x), f_t(x)) + self-distillation ], term by term."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

import torch
from torch import Tensor

from kd.config.losses import FromHypotheses, ObjectiveSettings, OneDistillLoss
from kd.config.self_distillation import ConsistencyCTC, SelfDistillation
from kd.config.states import NEEDS_STATES
from kd.losses import DISTILL_LOSSES, LABEL_LOSSES, SELF_LOSSES
from kd.training.frame_rates import aligned, averaged, common_frames
from kd.training.inputs import Inputs
from kd.training.states import States
from kd.training.student_with_heads import Outputs

Given = TypeVar("Given")


@dataclass(frozen=True)
class Term:
    """One loss of an objective on one batch.

    name: `labels`, or the loss's in its registry. weight: its factor in the objective. value: 0-dim, unweighted.
    count: how many things (utterances, frames) it is a mean over.
    """

    name: str
    kind: Literal["label", "distill", "self"]
    weight: float
    value: Tensor
    count: int


_Part = tuple[str, Literal["label", "distill", "self"], float, Tensor]
"""A term without its count."""


class StudentTeacherPair(NamedTuple):
    """Logits of student and teacher over the same frames and units; or states of the same width."""

    student_BTV: Tensor
    teacher_BTV: Tensor
    lengths_B: Tensor


class Objective:
    """The project's objective for one problem, `transcription` or `keyword`, in one epoch."""

    def __init__(self, settings: ObjectiveSettings, problem: str, epoch: int = 0) -> None:
        self.schedule, self.problem = settings, problem
        self.settings = settings.at(epoch)
        self.label_loss = LABEL_LOSSES[problem]

    @property
    def needs(self) -> set[str]:
        """What the losses against the teacher compare with: `logits`, `hypotheses`, `layers`, `embeddings`."""
        distill_losses = self.settings.distill_losses if self.schedule.uses_teacher else ()
        return {DISTILL_LOSSES[distill.name].needs for distill in distill_losses}

    @property
    def hypotheses(self) -> FromHypotheses | None:
        """Settings of the loss that learns from hypotheses, if there is one."""
        distill_losses = self.settings.distill_losses if self.schedule.uses_teacher else ()
        return next((distill for distill in distill_losses if isinstance(distill, FromHypotheses)), None)

    def at(self, epoch: int) -> "Objective":
        """The objective of another epoch (from 0): weights and temperatures may follow schedules."""
        return Objective(self.schedule, self.problem, epoch)

    def terms(self, outputs: Outputs, inputs: Inputs, counts: Sequence[int] | None = None) -> list[Term]:
        """All terms for one batch, labels first; what has no weight at any time is not computed.

        Where two views are compared, outputs and inputs are those of `Inputs.both_views`. counts: those of these
        inputs, where they are known already.
        """
        settings, parts = self.settings, list[_Part]()
        if settings.label_weight > 0:
            parts.append(("labels", "label", settings.label_weight, self._label(outputs, inputs)))
        if self.schedule.uses_teacher:
            pair = self.pair(outputs, inputs) if "logits" in self.needs else None
            for distill in settings.distill_losses:
                value = self._distill(distill, outputs, inputs, pair)
                parts.append((distill.name, "distill", settings.beta_now * distill.weight, value))
        parts += [(s.name, "self", s.weight, self._self_loss(s, outputs, inputs)) for s in settings.self_distillation]
        if counts is None:
            states_B = outputs.lengths_B if outputs.states is None else outputs.states.lengths_B
            counts = self.counts(inputs, outputs.lengths_B, states_B)
        return [Term(*part, count) for part, count in zip(parts, counts, strict=True)]

    def counts(self, inputs: Inputs, frames_B: Tensor, states_B: Tensor) -> list[int]:
        """What each of `terms` is a mean over, known before any pass.

        frames_B: frames of the logits of these inputs; states_B: of the encoder's states.
        """
        labelled, settings = int((inputs.target_lengths_B > 0).sum()), self.settings
        counts = [labelled] if settings.label_weight > 0 else []
        if self.schedule.uses_teacher:
            counts += [self._compared(distill, inputs, frames_B, states_B) for distill in settings.distill_losses]
        return counts + [len(frames_B) if loss.name == "cr_ctc" else labelled for loss in settings.self_distillation]

    def _compared(self, distill: OneDistillLoss, inputs: Inputs, frames_B: Tensor, states_B: Tensor) -> int:
        loss = DISTILL_LOSSES[distill.name]
        if loss.counts != "frames":
            return len(frames_B) if loss.counts == "utterances" else 1
        if loss.needs == "layers":
            return int(common_frames(states_B, _given(inputs.states, distill.name, "inner states").lengths_B).sum())
        theirs_B = inputs.teacher_lengths_B
        return int((frames_B if theirs_B is None else common_frames(frames_B, theirs_B)).sum())

    def _label(self, outputs: Outputs, inputs: Inputs) -> Tensor:
        """Mean over the labelled utterances; 0 over none, where nobody transcribed any of the batch."""
        logits_BTV, lengths_B = outputs.logits_BTV, outputs.lengths_B
        targets_BL, target_lengths_B = inputs.targets_BL, inputs.target_lengths_B
        labelled_B = target_lengths_B > 0
        if not labelled_B.any():
            return logits_BTV[:0].sum()
        if not labelled_B.all():
            logits_BTV, lengths_B = logits_BTV[labelled_B], lengths_B[labelled_B]
            targets_BL, target_lengths_B = targets_BL[labelled_B], target_lengths_B[labelled_B]
        return self.label_loss(logits_BTV, lengths_B, targets_BL, target_lengths_B)

    def pair(self, outputs: Outputs, inputs: Inputs) -> StudentTeacherPair | None:
        """What losses between logits compare; None where the batch has no logits of a teacher."""
        if inputs.teacher_BTV is None:
            return None
        student_BTV, teacher_BTV, lengths_B = outputs.logits_BTV, inputs.teacher_BTV, outputs.lengths_B
        if inputs.teacher_lengths_B is not None:
            student_BTV, teacher_BTV, lengths_B = aligned(
                student_BTV, lengths_B, teacher_BTV, inputs.teacher_lengths_B, self.settings.align
            )
        _require_same_shape(student_BTV, teacher_BTV)
        return StudentTeacherPair(student_BTV, teacher_BTV, lengths_B)

    def _distill(
        self, distill: OneDistillLoss, outputs: Outputs, inputs: Inputs, pair: StudentTeacherPair | None
    ) -> Tensor:
        loss, lengths_B = DISTILL_LOSSES[distill.name].of(self.problem), outputs.lengths_B
        if loss.needs == "hypotheses":
            hypotheses = _given(inputs.hypotheses, distill.name, "hypotheses")
            return loss(outputs.logits_BTV, hypotheses, lengths_B, settings=distill)
        if loss.needs == "layers":
            met = self._met_layers(outputs, _given(inputs.states, distill.name, "inner states"))
            return torch.stack([loss(*each, settings=distill) for each in met]).mean()
        if loss.needs == "embeddings":
            student, teacher = outputs.states, _given(inputs.states, distill.name, "inner states")
            assert student is not None
            return loss(student.embedding_B1D, teacher.embedding_B1D, torch.ones_like(lengths_B), settings=distill)
        return loss(*_given(pair, distill.name, "logits"), settings=distill)

    def _met_layers(self, outputs: Outputs, teacher: States) -> list[StudentTeacherPair]:
        """Each pair of layers over the same frames, the student's at the teacher's width."""
        assert outputs.states is not None
        assert outputs.projected is not None
        student_B, teacher_B = outputs.states.lengths_B, teacher.lengths_B
        return [
            StudentTeacherPair(*averaged(x_BTD, student_B, teacher.at[theirs], teacher_B))
            for (_, theirs), x_BTD in outputs.projected.items()
        ]

    def _self_loss(self, loss: SelfDistillation, outputs: Outputs, inputs: Inputs) -> Tensor:
        lengths_B, function = outputs.lengths_B, SELF_LOSSES[loss.name].function
        if isinstance(loss, ConsistencyCTC):
            first, second = outputs.logits_BTV.chunk(2)
            return function(first, second, lengths_B[: len(first)])
        rows_B = inputs.target_lengths_B > 0  # inner layers learn from labels as the last one does
        if not rows_B.any():
            return torch.stack([x[:0].sum() for x in (outputs.logits_BTV, *outputs.inner_BTV)]).sum()
        targets = inputs.targets_BL[rows_B], inputs.target_lengths_B[rows_B]
        last_BTV, lengths_B = outputs.logits_BTV[rows_B], lengths_B[rows_B]
        each = [
            function(inner_BTV[rows_B], last_BTV, lengths_B, *targets, settings=loss) for inner_BTV in outputs.inner_BTV
        ]
        return torch.stack(each).mean()

    def metrics(self, means: Mapping[str, float]) -> dict[str, float]:
        """What an epoch's history says, from the mean of each term: the loss, its sides, and each of several.

        Those between inner states are always told apart. distill_loss is sum_i w_i * L_i, and train_loss is
        label_weight * label_loss + beta * distill_loss + self_loss.
        """
        label, beta = means.get("labels", 0.0), self.settings.beta_now
        met = [loss for loss in self.settings.distill_losses if loss.name in means]
        distill_losses = {loss.name: loss.weight * means[loss.name] for loss in met}
        itself = {s.name: s.weight * means[s.name] for s in self.settings.self_distillation}
        distill, beside = sum(distill_losses.values()), sum(itself.values())
        apart = distill_losses if len(distill_losses) > 1 else [name for name in distill_losses if name in NEEDS_STATES]
        several = [*apart, *(itself if len(itself) > 1 else ())]
        return {
            "train_loss": self.settings.label_weight * label + beta * distill + beside,
            "label_loss": label,
            "distill_loss": float(distill),
            **({"self_loss": beside} if itself else {}),
            **{f"{name}_loss": means[name] for name in several},
        }


def total(terms: Sequence[Term], shares: Sequence[float] | None = None) -> Tensor:
    """The weighted sum; shares make one process's part of a batch count rightly, one for each term."""
    return weighted(list(zip(terms, shares or [1.0] * len(terms), strict=True)))


def weighted(parts: Sequence[tuple[Term, float]]) -> Tensor:
    """The sum of terms, each with its own weight and another."""
    return torch.stack([term.weight * share * term.value for term, share in parts]).sum()


def _given(found: Given | None, loss: str, what: str) -> Given:
    if found is None:
        raise ValueError(
            f"the objective's {loss} needs the {what}, but the batch has none of a teacher: give it a teacher's, or "
            "remove the loss"
        )
    return found


def _require_same_shape(student_BTV: Tensor, teacher_BTV: Tensor) -> None:
    if student_BTV.shape != teacher_BTV.shape:
        raise ValueError(
            f"student and teacher differ in (utterances, frames, units): {tuple(student_BTV.shape)} and "
            f"{tuple(teacher_BTV.shape)}. Give both the same subsampling and units"
        )
