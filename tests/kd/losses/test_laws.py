"""Laws that every matching loss obeys, over the whole registry, and how a label loss treats padding."""

from typing import Any

import pytest
import torch
from torch import Tensor

from kd.hypotheses import Hypotheses
from kd.losses import LABEL_LOSSES, MATCHING_LOSSES
from kd.losses.frames import valid_frames
from kd.settings.losses import (
    BlankSelected,
    Decoupled,
    Dist,
    Features,
    FromHypotheses,
    GuidedCTC,
    ObjectiveSettings,
    Relational,
    ShiftTolerant,
    SoftTargets,
    Tempered,
)
from kd.settings.schedules import PositiveRamp

SETTINGS = {
    "soft_targets": SoftTargets(temperature=3.0),
    "blank_selected": BlankSelected(name="blank_selected", temperature=3.0, dilation=1),
    "guided_ctc": GuidedCTC(name="guided_ctc"),
    "shift_tolerant": ShiftTolerant(name="shift_tolerant", max_delay=2),
    "decoupled": Decoupled(name="decoupled"),
    "dist": Dist(name="dist", temperature=2.0),
    "hypotheses": FromHypotheses(name="hypotheses"),
    "features": Features(name="features", mse=0.5),
    "relational": Relational(name="relational"),
}
LENGTHS = torch.tensor([6, 4, 1])

every_loss = pytest.mark.parametrize("name", MATCHING_LOSSES)


def batch() -> tuple[Tensor, Tensor]:
    """Student's and teacher's logits of three utterances, 5 units."""
    generator = torch.Generator().manual_seed(5)
    return torch.randn(3, 6, 5, generator=generator), torch.randn(3, 6, 5, generator=generator)


def value(name: str, student: Tensor, teacher: Tensor, lengths: Tensor = LENGTHS, **changes: Any) -> Tensor:
    loss = MATCHING_LOSSES[name]
    settings = SETTINGS[name].model_copy(update=changes)
    return loss(student, heard(teacher) if loss.needs == "hypotheses" else teacher, lengths, settings=settings)


def heard(teacher: Tensor) -> Hypotheses:
    """Two hypotheses an utterance, by a rule that only looks at its own first frame."""
    first = teacher.nan_to_num()[:, :1].topk(2).indices.clamp(min=1)
    return Hypotheses.of([[(units, 2.0), (units[:1], 1.0)] for units in first[:, 0].tolist()])


def test_every_entry_is_tested_and_can_be_chosen() -> None:
    assert set(MATCHING_LOSSES) == set(SETTINGS)
    assert set(MATCHING_LOSSES) == {ObjectiveSettings(beta=1.0, match=s).matches[0].name for s in SETTINGS.values()}


@every_loss
def test_ignores_whatever_the_padding_holds(name: str) -> None:
    student, teacher = batch()
    dirty_student, dirty_teacher = student.clone(), teacher.clone()
    for dirty in (dirty_student, dirty_teacher):
        dirty[1, 4:] = float("nan")
        dirty[2, 1:] = float("inf")
    dirty_student.requires_grad_()
    loss = value(name, dirty_student, dirty_teacher)
    assert torch.equal(loss, value(name, student, teacher))
    loss.backward()
    assert dirty_student.grad is not None
    assert dirty_student.grad.isfinite().all()
    assert not dirty_student.grad[1, 4:].any()
    assert not dirty_student.grad[2, 1:].any()


@every_loss
def test_gradient_reaches_the_student_only(name: str) -> None:
    student, teacher = (x.requires_grad_() for x in batch())
    value(name, student, teacher).backward()
    assert student.grad is not None
    assert student.grad[0].any()
    assert teacher.grad is None


@every_loss
def test_gradient_is_that_of_finite_differences(name: str) -> None:
    student, teacher = (x.double() for x in batch())
    at = student.clone().requires_grad_()
    value(name, at, teacher).backward()
    assert at.grad is not None
    # in float32 the loss itself is too coarse for small steps: along its steepest direction, plus a random one
    drawn = torch.randn(student.shape, generator=torch.Generator().manual_seed(1)).double()
    direction = at.grad / at.grad.norm() + 0.3 * drawn / drawn.norm()
    step = 1e-2
    change = value(name, student + step * direction, teacher) - value(name, student - step * direction, teacher)
    torch.testing.assert_close(float((at.grad * direction).sum()), float(change) / (2 * step), rtol=1e-3, atol=1e-5)


@every_loss
def test_zero_at_identity_where_declared(name: str) -> None:
    student, teacher = batch()
    if not MATCHING_LOSSES[name].zero_at_identity:
        pytest.skip("declared away")
    torch.testing.assert_close(value(name, teacher.clone(), teacher), torch.tensor(0.0), atol=1e-6, rtol=0)
    assert value(name, student, teacher) > 0.01


@every_loss
def test_utterances_count_as_declared(name: str) -> None:
    """The whole is the mean of the utterances' own losses, weighted by what the entry says it counts."""
    student, teacher = batch()
    if MATCHING_LOSSES[name].counts == "batch":
        order = torch.tensor([2, 0, 1])
        permuted = value(name, student[order], teacher[order], LENGTHS[order])
        torch.testing.assert_close(permuted, value(name, student, teacher))
        return
    alone = [value(name, student[b : b + 1], teacher[b : b + 1], LENGTHS[b : b + 1]) for b in range(3)]
    weights = LENGTHS.float() if MATCHING_LOSSES[name].counts == "frames" else torch.ones(3)
    expected = (torch.stack(alone) * weights).sum() / weights.sum()
    torch.testing.assert_close(value(name, student, teacher), expected)
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(value(name, student[order], teacher[order], LENGTHS[order]), expected)


@every_loss
def test_is_a_scalar_in_full_precision(name: str) -> None:
    student, teacher = batch()
    loss = value(name, student.bfloat16(), teacher.bfloat16())
    assert (loss.shape, loss.dtype) == ((), torch.float32)


@every_loss
@pytest.mark.parametrize("lengths", [torch.tensor([], dtype=torch.long), torch.tensor([0, 0])])
def test_an_empty_batch_is_refused(name: str, lengths: Tensor) -> None:
    empty = torch.zeros(len(lengths), 4, 5)
    with pytest.raises(ValueError, match="no valid frame: nothing to compare"):
        value(name, empty, empty, lengths)


@every_loss
def test_lengths_beyond_the_frames_are_refused(name: str) -> None:
    student, teacher = batch()
    with pytest.raises(ValueError, match=r"lengths \[7, 2, 2\] exceed the 6 frames .* output_lengths\(\)"):
        value(name, student, teacher, torch.tensor([7, 2, 2]))


TEMPERED = [name for name, settings in SETTINGS.items() if isinstance(settings, Tempered)]


@pytest.mark.parametrize("name", TEMPERED)
def test_standardised_logits_forget_their_scale_and_offset(name: str) -> None:
    student, teacher = batch()
    loss = value(name, student, teacher, standardise=True)
    torch.testing.assert_close(value(name, 3 * student + 1, 0.2 * teacher - 4, standardise=True), loss)
    assert abs(float(loss - value(name, student, teacher))) > 1e-4
    assert abs(float(value(name, 3 * student, teacher) - value(name, student, teacher))) > 1e-4


@pytest.mark.parametrize("name", TEMPERED)
def test_a_schedule_must_be_read_at_an_epoch(name: str) -> None:
    ramp = PositiveRamp.model_validate({"from": 4, "to": 1, "epochs": 3})
    with pytest.raises(ValueError, match="has no value until an epoch is chosen"):
        value(name, *batch(), temperature=ramp)


def test_valid_frames_keep_their_order() -> None:
    x = torch.arange(6.0).reshape(2, 3, 1)
    assert valid_frames(x, torch.tensor([2, 3]))[:, 0].tolist() == [0, 1, 3, 4, 5]


@pytest.mark.parametrize("problem", LABEL_LOSSES)
def test_label_losses_ignore_padding(problem: str) -> None:
    frames = 6 if problem == "transcription" else 1
    logits, _ = batch()
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
