"""Laws that every loss against a teacher obeys, over the whole registry, and how a label loss treats padding."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from precision import FLOAT32
from small_logits import pair_of_logits
from torch import Tensor

from kd.config.losses import (
    BlankSelected,
    Decoupled,
    Dist,
    Features,
    FromHypotheses,
    GuidedCTC,
    ObjectiveSettings,
    OneDistillLoss,
    Relational,
    ShiftTolerant,
    SoftTargets,
    Tempered,
)
from kd.config.schedules import PositiveRamp
from kd.losses import DISTILL_LOSSES, LABEL_LOSSES
from kd.losses.frames import valid_frames
from kd.teachers.hypotheses import Hypotheses

CASES: dict[str, OneDistillLoss] = {
    "soft_targets": SoftTargets(temperature=3.0),
    "soft_targets, standardised": SoftTargets(standardise=True),
    "blank_selected": BlankSelected(name="blank_selected", temperature=3.0, dilation=1),
    "blank_selected, undilated": BlankSelected(name="blank_selected", dilation=0),
    "guided_ctc": GuidedCTC(name="guided_ctc"),
    "shift_tolerant": ShiftTolerant(name="shift_tolerant", max_delay=2),
    "shift_tolerant, undelayed": ShiftTolerant(name="shift_tolerant", max_delay=0),
    "shift_tolerant, soft": ShiftTolerant(name="shift_tolerant", max_delay=2, softness=0.5),
    "decoupled": Decoupled(name="decoupled"),
    "decoupled, target alone": Decoupled(name="decoupled", others=0, standardise=True),
    "dist": Dist(name="dist", temperature=2.0),
    "dist, between": Dist(name="dist", within=0),
    "dist, within": Dist(name="dist", between=0, standardise=True),
    "hypotheses": FromHypotheses(name="hypotheses"),
    "hypotheses, n-best": FromHypotheses(name="hypotheses", n_best=2, beam=4),
    "features": Features(name="features", mse=0.5),
    "features, cosine": Features(name="features", l1=0),
    "relational": Relational(name="relational"),
    "relational, distances": Relational(name="relational", angle=0),
}
LENGTHS = torch.tensor([6, 4, 1])

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def confident() -> tuple[Tensor, Tensor]:
    """The same, as peaky as a trained model's: a unit of the teacher's is below 1e-6 in every frame."""
    student, teacher = pair_of_logits()
    student[..., 0] += 3
    teacher[..., 4] -= 3
    return 8 * student, 8 * teacher


def value(case: OneDistillLoss, student: Tensor, teacher: Tensor, lengths: Tensor = LENGTHS, **changes: Any) -> Tensor:
    settings = case.model_copy(update=changes)
    theirs = hypotheses(teacher, settings.n_best) if isinstance(settings, FromHypotheses) else teacher
    return DISTILL_LOSSES[case.name](student, theirs, lengths, settings=settings)


def hypotheses(teacher: Tensor, n_best: int) -> Hypotheses:
    """Of each utterance one unit, then two, by a rule that only looks at its own first frame."""
    first = teacher.nan_to_num()[:, :1].topk(2).indices.clamp(min=1)
    return Hypotheses.of([[(units[:1], 2.0), (units, 1.0)][:n_best] for units in first[:, 0].tolist()])


def test_every_entry_is_tested_and_can_be_chosen() -> None:
    assert set(DISTILL_LOSSES) == {
        ObjectiveSettings(beta=1.0, distill=s).distill_losses[0].name for s in CASES.values()
    }


every_batch = pytest.mark.parametrize("drawn", [pair_of_logits, confident])


@every_case
def test_ignores_whatever_the_padding_holds(case: OneDistillLoss) -> None:
    student, teacher = pair_of_logits()
    dirty_student, dirty_teacher = student.clone(), teacher.clone()
    for dirty in (dirty_student, dirty_teacher):
        dirty[1, 4:] = float("nan")
        dirty[2, 1:] = float("inf")
    dirty_student.requires_grad_()
    loss = value(case, dirty_student, dirty_teacher)
    assert torch.equal(loss, value(case, student, teacher))
    loss.backward()
    assert dirty_student.grad is not None
    assert dirty_student.grad.isfinite().all()
    assert not dirty_student.grad[1, 4:].any()
    assert not dirty_student.grad[2, 1:].any()


@every_case
@every_batch
def test_gradient_reaches_the_student_only(case: OneDistillLoss, drawn: Callable[[], tuple[Tensor, Tensor]]) -> None:
    student, teacher = (x.requires_grad_() for x in drawn())
    value(case, student, teacher).backward()
    assert student.grad is not None
    assert student.grad.isfinite().all()
    assert student.grad[0].abs().max() > 1e-6
    assert teacher.grad is None


@every_case
def test_gradient_is_that_of_finite_differences(case: OneDistillLoss) -> None:
    student, teacher = (x.double() for x in pair_of_logits())
    at = student.clone().requires_grad_()
    value(case, at, teacher).backward()
    assert at.grad is not None
    # in float32 the loss itself is too coarse for small steps: along its steepest direction, plus a random one
    drawn = torch.randn(student.shape, generator=torch.Generator().manual_seed(1)).double()
    direction = at.grad / at.grad.norm() + 0.3 * drawn / drawn.norm()
    step = 1e-2
    change = value(case, student + step * direction, teacher) - value(case, student - step * direction, teacher)
    torch.testing.assert_close(float((at.grad * direction).sum()), float(change) / (2 * step), rtol=1e-3, atol=1e-5)


@every_case
@every_batch
def test_zero_at_identity_where_declared(case: OneDistillLoss, drawn: Callable[[], tuple[Tensor, Tensor]]) -> None:
    student, teacher = drawn()
    if not DISTILL_LOSSES[case.name].zero_at_identity(case):
        pytest.skip("declared away")
    torch.testing.assert_close(value(case, teacher.clone(), teacher), torch.tensor(0.0), atol=FLOAT32, rtol=0)
    assert value(case, student, teacher) > 0.01


SOFT = CASES["shift_tolerant, soft"]


def test_soft_least_at_identity_is_at_most_that_of_equal_delays() -> None:
    """In place of 0: s * log D is what D delays of divergence 0 would be cut by; our three have 3, 3 and 1."""
    _, teacher = pair_of_logits()
    for softness in (0.01, 0.5, 3.0):
        found = float(value(SOFT, teacher, teacher, softness=softness))
        assert 0 < found <= softness * 2 * math.log(3) / 3 * (1 + 1e-5)


def test_soft_least_tends_to_the_least() -> None:
    student, teacher = pair_of_logits()
    least = float(value(SOFT, student, teacher, softness=0))
    above = [float(value(SOFT, student, teacher, softness=s)) - least for s in (1.0, 0.1, 0.01)]
    assert above == sorted(above, reverse=True)
    for softness, gap in zip((1.0, 0.1, 0.01), above, strict=True):
        assert 0 <= gap <= softness * 2 * math.log(3) / 3
    assert float(value(SOFT, student, teacher, softness=1e-6)) == pytest.approx(least, abs=1e-5)


@every_case
def test_utterances_count_as_declared(case: OneDistillLoss) -> None:
    """The whole is the mean of the utterances' own losses, weighted by what the entry says it counts."""
    student, teacher = pair_of_logits()
    if DISTILL_LOSSES[case.name].counts == "batch":
        order = torch.tensor([2, 0, 1])
        permuted = value(case, student[order], teacher[order], LENGTHS[order])
        torch.testing.assert_close(permuted, value(case, student, teacher))
        return
    alone = [value(case, student[b : b + 1], teacher[b : b + 1], LENGTHS[b : b + 1]) for b in range(3)]
    weights = LENGTHS.float() if DISTILL_LOSSES[case.name].counts == "frames" else torch.ones(3)
    expected = (torch.stack(alone) * weights).sum() / weights.sum()
    torch.testing.assert_close(value(case, student, teacher), expected)
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(value(case, student[order], teacher[order], LENGTHS[order]), expected)


@every_case
def test_is_a_scalar_in_full_precision(case: OneDistillLoss) -> None:
    student, teacher = pair_of_logits()
    loss = value(case, student.bfloat16(), teacher.bfloat16())
    assert (loss.shape, loss.dtype) == ((), torch.float32)


@every_case
@pytest.mark.parametrize("lengths", [torch.tensor([], dtype=torch.long), torch.tensor([0, 0])])
def test_an_empty_batch_is_refused(case: OneDistillLoss, lengths: Tensor) -> None:
    empty = torch.zeros(len(lengths), 4, 5)
    with pytest.raises(ValueError, match="no valid frame: nothing to compare"):
        value(case, empty, empty, lengths)


@every_case
def test_lengths_beyond_the_frames_are_refused(case: OneDistillLoss) -> None:
    student, teacher = pair_of_logits()
    with pytest.raises(ValueError, match=r"lengths \[7, 2, 2\] exceed the 6 frames .* output_lengths\(\)"):
        value(case, student, teacher, torch.tensor([7, 2, 2]))


TEMPERED = {key: case for key, case in CASES.items() if isinstance(case, Tempered) and not case.standardise}
tempered_case = pytest.mark.parametrize("case", TEMPERED.values(), ids=TEMPERED)


@tempered_case
def test_standardised_logits_forget_their_scale_and_offset(case: OneDistillLoss) -> None:
    student, teacher = pair_of_logits()
    loss = value(case, student, teacher, standardise=True)
    torch.testing.assert_close(value(case, 3 * student + 1, 0.2 * teacher - 4, standardise=True), loss)
    assert abs(float(loss - value(case, student, teacher))) > 1e-4
    assert abs(float(value(case, 3 * student, teacher) - value(case, student, teacher))) > 1e-4


@tempered_case
def test_a_schedule_must_be_read_at_an_epoch(case: OneDistillLoss) -> None:
    ramp = PositiveRamp.model_validate({"from": 4, "to": 1, "epochs": 3})
    with pytest.raises(ValueError, match="has no value until an epoch is chosen"):
        value(case, *pair_of_logits(), temperature=ramp)


def test_valid_frames_keep_their_order() -> None:
    x = torch.arange(6.0).reshape(2, 3, 1)
    assert valid_frames(x, torch.tensor([2, 3]))[:, 0].tolist() == [0, 1, 3, 4, 5]


@pytest.mark.parametrize("problem", LABEL_LOSSES)
def test_label_losses_ignore_padding(problem: str) -> None:
    frames = 6 if problem == "transcription" else 1
    logits, _ = pair_of_logits()
    logits = logits[:, :frames]
    lengths = LENGTHS.clamp(max=frames)
    targets = torch.tensor([[1, 2], [3, 3], [4, 0]])[:, : 2 if problem == "transcription" else 1]
    sizes = torch.tensor([2, 2, 1]).clamp(max=targets.shape[1])
    clean = LABEL_LOSSES[problem](logits, lengths, targets, sizes)
    longer = torch.cat([logits, torch.zeros(3, 2, 5)], 1) if problem == "transcription" else logits.clone()
    for row, length in enumerate(lengths.tolist()):
        longer[row, length:] = float("nan")
    longer.requires_grad_()
    loss = LABEL_LOSSES[problem](longer, lengths, targets, sizes)
    torch.testing.assert_close(loss, clean)
    loss.backward()
    assert longer.grad is not None
    assert longer.grad.isfinite().all()
    for row, length in enumerate(lengths.tolist()):
        assert longer.grad[row, :length].any()
        assert not longer.grad[row, length:].any()


@pytest.mark.parametrize("problem", LABEL_LOSSES)
def test_label_losses_refuse_an_empty_batch(problem: str) -> None:
    none = torch.zeros(0, dtype=torch.long)
    with pytest.raises(ValueError, match=r"no valid frame: nothing to compare|the batch is empty"):
        LABEL_LOSSES[problem](torch.zeros(0, 1, 5), none, none[:, None], none)
