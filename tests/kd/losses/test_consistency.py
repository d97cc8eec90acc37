"""Self-distillation's losses: a case by hand for each, and the laws of their registry."""

import math

import pytest
import torch
from precision import FLOAT32
from small_logits import pair_of_logits
from torch import Tensor

from kd.config.losses import ObjectiveSettings
from kd.config.self_distillation import IntermediateCTC
from kd.losses import SELF_LOSSES, ctc
from kd.losses.consistency import consistency, intermediate_ctc, sequence_kl

LENGTHS = torch.tensor([6, 4, 1])
TARGETS, SIZES = torch.tensor([[1, 2], [3, 3], [4, 0]]), torch.tensor([2, 2, 1])
INTERMEDIATE = IntermediateCTC(name="intermediate_ctc", imitate=0.5)

every_loss = pytest.mark.parametrize("name", SELF_LOSSES)


def value(name: str, first: Tensor, second: Tensor, rows: slice = slice(None), lengths: Tensor = LENGTHS) -> Tensor:
    arguments = (first[rows], second[rows], lengths[rows])
    if "targets" in SELF_LOSSES[name].needs:
        return SELF_LOSSES[name].function(*arguments, TARGETS[rows], SIZES[rows], settings=INTERMEDIATE)
    return SELF_LOSSES[name].function(*arguments)


def test_every_entry_can_be_chosen() -> None:
    settings = ObjectiveSettings.model_validate({"self_distillation": [{"name": name} for name in SELF_LOSSES]})
    assert {one.name for one in settings.self_distillation} == set(SELF_LOSSES)
    assert ObjectiveSettings.model_validate(settings.model_dump(mode="json")) == settings
    assert settings.describe() == "labels + self-distillation"


@every_loss
def test_ignores_whatever_the_padding_holds(name: str) -> None:
    first, second = pair_of_logits()
    dirty_first, dirty_second = first.clone(), second.clone()
    for dirty in (dirty_first, dirty_second):
        dirty[1, 4:], dirty[2, 1:] = float("nan"), float("inf")
        dirty.requires_grad_()
    loss = value(name, dirty_first, dirty_second)
    torch.testing.assert_close(loss, value(name, first, second))
    loss.backward()
    assert dirty_first.grad is not None
    assert dirty_first.grad.isfinite().all()
    assert not dirty_first.grad[1, 4:].any()


@every_loss
def test_is_the_mean_over_utterances(name: str) -> None:
    first, second = pair_of_logits()
    alone = [value(name, first, second, slice(b, b + 1)) for b in range(3)]
    torch.testing.assert_close(value(name, first, second), torch.stack(alone).mean())


@every_loss
def test_an_empty_batch_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"no valid frame|the batch is empty"):
        value(name, *pair_of_logits(), slice(0, 0))


@every_loss
def test_lengths_beyond_the_frames_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"lengths \[7, 2, 2\] exceed the 6 frames .* output_lengths\(\)"):
        value(name, *pair_of_logits(), lengths=torch.tensor([7, 2, 2]))


@every_loss
def test_is_a_scalar_in_full_precision(name: str) -> None:
    first, second = pair_of_logits()
    loss = value(name, first.bfloat16(), second.bfloat16())
    assert (loss.shape, loss.dtype) == ((), torch.float32)


@every_loss
def test_gradient_is_that_of_finite_differences(name: str) -> None:
    """Of the view or layer that the gradient may enter, with the other's part held still."""
    first, second = (x.double() for x in pair_of_logits())
    at = first.clone().requires_grad_()
    value(name, at, second).backward()
    assert at.grad is not None
    direction = at.grad / at.grad.norm()
    if name == "cr_ctc":  # half of it pulls the second view: its gradient stops at the first
        ahead, behind = (0.5 * sequence_kl(first + s * direction, second, LENGTHS) for s in (1e-2, -1e-2))
    else:
        ahead, behind = (value(name, first + s * direction, second) for s in (1e-2, -1e-2))
    torch.testing.assert_close(float((at.grad * direction).sum()), float(ahead - behind) / 2e-2, rtol=1e-3, atol=1e-5)


def test_consistency_by_hand() -> None:
    """One frame of two that is (0.2, 0.8) in one view and even in the other; summed over frames, not averaged."""
    p, q = torch.tensor([[[0.2, 0.8], [0.5, 0.5]]]).log(), torch.tensor([[[0.5, 0.5], [0.5, 0.5]]]).log()
    there = 0.2 * math.log(0.2 / 0.5) + 0.8 * math.log(0.8 / 0.5)
    back = 0.5 * math.log(0.5 / 0.2) + 0.5 * math.log(0.5 / 0.8)
    assert consistency(p, q, torch.tensor([2])).item() == pytest.approx(0.5 * (there + back), rel=FLOAT32)
    both = torch.cat([p, p], dim=1), torch.cat([q, q], dim=1)
    assert consistency(*both, torch.tensor([4])).item() == pytest.approx(there + back, rel=FLOAT32)


def test_views_that_agree_cost_nothing_and_both_are_pulled() -> None:
    first, second = (x.requires_grad_() for x in pair_of_logits())
    assert consistency(first, first, LENGTHS).item() == pytest.approx(0, abs=FLOAT32)
    consistency(first, second, LENGTHS).backward()
    assert first.grad is not None
    assert second.grad is not None
    expected = (first.softmax(-1) - second.softmax(-1)) / 2 / 3  # d KL(sg q || p) / d logits of p = p - q
    torch.testing.assert_close(first.grad[0], expected[0])
    torch.testing.assert_close(second.grad[0], -expected[0])


def test_intermediate_ctc_by_hand() -> None:
    """Two frames of three units alike: 3 of 9 paths give '1'. The last layer says (1/2, 1/4, 1/4) twice, of which
    KL is ln(3/2) / 2 + ln(3/4) / 2 a frame, so ln(9/8) over both."""
    inner, last = torch.zeros(1, 2, 3), torch.tensor([[[math.log(2), 0.0, 0.0]] * 2])
    found = intermediate_ctc(
        inner, last, torch.tensor([2]), torch.tensor([[1]]), torch.tensor([1]), settings=INTERMEDIATE
    )
    assert found.item() == pytest.approx(math.log(3) + 0.5 * math.log(9 / 8), rel=FLOAT32)


def test_an_inner_layer_is_ctc_and_may_imitate_the_last() -> None:
    inner, last = (x.requires_grad_() for x in pair_of_logits())
    label = ctc(inner, LENGTHS, TARGETS, SIZES)
    plain = intermediate_ctc(inner, last, LENGTHS, TARGETS, SIZES, settings=IntermediateCTC(name="intermediate_ctc"))
    assert torch.equal(plain, label)
    both = intermediate_ctc(inner, last, LENGTHS, TARGETS, SIZES, settings=INTERMEDIATE)
    torch.testing.assert_close(both, label + 0.5 * sequence_kl(inner, last, LENGTHS))
    both.backward()
    assert last.grad is None, "the last layer teaches and does not learn"
