"""The objective: labels * L(f_s, y) + beta * sum w * L(f_s, f_t), its terms, and what follows a schedule."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from precision import FLOAT32
from pydantic import ValidationError
from tiny_training import fresh, tiny_inputs
from torch import Tensor

from kd.config.losses import FromHypotheses, ObjectiveSettings, SoftTargets
from kd.losses import DISTILL_LOSSES, LABEL_LOSSES, soft_targets
from kd.losses.consistency import consistency
from kd.teachers.hypotheses import Hypotheses
from kd.training import Inputs, Objective
from kd.training.objective import Term, total
from kd.training.student_with_heads import Outputs

MATCH = SoftTargets(temperature=2.0)


def batch(problem: str) -> tuple[Tensor, Tensor, Inputs]:
    inputs = tiny_inputs(problem, 0, teacher=fresh("gru", problem))
    logits, lengths = fresh("cnn", problem)(inputs.features_BTF, inputs.lengths_B)
    return logits, lengths, inputs


def case(problem: str, **settings: Any) -> tuple[list[Term], Tensor, Tensor]:
    """An objective's terms on a batch, and both sides computed directly."""
    logits, lengths, inputs = batch(problem)
    taught = {"distill": MATCH} if settings.get("beta") else {}
    objective = Objective(ObjectiveSettings.model_validate({**taught, **settings}), problem)
    assert inputs.teacher_BTV is not None
    label = LABEL_LOSSES[problem](logits, lengths, inputs.targets_BL, inputs.target_lengths_B)
    match = soft_targets(logits, inputs.teacher_BTV, lengths, settings=MATCH)
    return objective.terms(Outputs(logits, lengths), inputs), label, match


@pytest.mark.parametrize("problem", LABEL_LOSSES)
def test_is_the_weighted_sum(problem: str) -> None:
    terms, label, match = case(problem, label_weight=0.3, beta=0.7)
    torch.testing.assert_close(total(terms), 0.3 * label + 0.7 * match)
    torch.testing.assert_close(total(terms, [2.0, 5.0]), 0.6 * label + 3.5 * match)


def test_counts_what_each_term_is_a_mean_over() -> None:
    for problem, frames in (("transcription", 10 + 6 + 8), ("keyword", 3)):
        terms, _, _ = case(problem, label_weight=1.0, beta=1.0)
        assert [(t.name, t.count) for t in terms] == [("labels", 3), ("soft_targets", frames)]


def test_a_term_without_weight_is_not_computed() -> None:
    terms, label, _ = case("keyword", label_weight=2.0, beta=0.0)
    torch.testing.assert_close(total(terms), 2 * label)
    terms, _, match = case("keyword", label_weight=0.0, beta=0.5)
    torch.testing.assert_close(total(terms), 0.5 * match)


def test_several_losses_add_up_with_their_weights() -> None:
    logits, lengths, inputs = batch("transcription")
    hypotheses = Hypotheses.of([[([1], 1.0)], [([2, 3], 1.0), ([2], 1.0)], []])
    several = [
        {"name": "soft_targets", "weight": 2.0},
        {"name": "guided_ctc"},
        {"name": "hypotheses", "weight": 0.5, "n_best": 2, "beam": 2},
    ]
    settings = ObjectiveSettings.model_validate({"label_weight": 0.0, "beta": 3.0, "distill": several})
    objective = Objective(settings, "transcription")
    assert objective.needs == {"logits", "hypotheses"}
    terms = objective.terms(Outputs(logits, lengths), replace(inputs, hypotheses=hypotheses))
    against = (inputs.teacher_BTV, inputs.teacher_BTV, hypotheses)
    each = [
        DISTILL_LOSSES[m.name](logits, teacher, lengths, settings=m)
        for m, teacher in zip(settings.distill_losses, against, strict=True)
    ]
    torch.testing.assert_close(total(terms), 3.0 * (2.0 * each[0] + each[1] + 0.5 * each[2]))
    metrics = objective.metrics({t.name: t.value.item() for t in terms})
    assert metrics["distill_loss"] == pytest.approx((2.0 * each[0] + each[1] + 0.5 * each[2]).item(), rel=FLOAT32)
    assert metrics["train_loss"] == pytest.approx(3.0 * metrics["distill_loss"], rel=FLOAT32)
    assert metrics["guided_ctc_loss"] == pytest.approx(each[1].item(), rel=FLOAT32)


def test_one_loss_in_a_list_is_that_loss() -> None:
    logits, lengths, inputs = batch("transcription")
    alone, listed = (
        Objective(ObjectiveSettings.model_validate({"beta": 20.0, "distill": match}), "transcription")
        for match in (MATCH.model_dump(), [MATCH.model_dump()])
    )
    first, second = (total(o.terms(Outputs(logits, lengths), inputs)) for o in (alone, listed))
    assert torch.equal(first, second)
    assert alone.metrics({"label_weight": 1.0, "soft_targets": 2.0}) == listed.metrics(
        {"label_weight": 1.0, "soft_targets": 2.0}
    )


def test_schedules_go_in_a_straight_line_and_stay() -> None:
    settings = ObjectiveSettings.model_validate({
        "beta": {"from": 0, "to": 20, "epochs": 4},
        "distill": {"name": "soft_targets", "temperature": {"from": 4, "to": 1, "epochs": 2}},
    })  # fmt: skip
    objective = Objective(settings, "transcription")
    now = [objective.at(epoch).settings for epoch in (0, 1, 2, 4, 9)]
    assert [s.beta for s in now] == [0, 5, 10, 20, 20]
    assert [s.distill_losses[0].temperature for s in now] == [4, 2.5, 1, 1, 1]
    logits, lengths, inputs = batch("transcription")
    assert inputs.teacher_BTV is not None
    terms = objective.at(1).terms(Outputs(logits, lengths), inputs)
    match = soft_targets(logits, inputs.teacher_BTV, lengths, settings=SoftTargets(temperature=2.5))
    torch.testing.assert_close(terms[1].weight * terms[1].value, 5.0 * match)
    assert ObjectiveSettings.model_validate(settings.model_dump(mode="json")) == settings


def test_a_schedule_from_0_still_needs_its_teacher() -> None:
    settings = ObjectiveSettings.model_validate({"label_weight": 0, "beta": {"from": 0, "to": 1, "epochs": 1}})
    assert settings.uses_teacher
    assert settings.describe() == "teacher"
    with pytest.raises(ValueError, match="has no value until an epoch is chosen"):
        _ = settings.beta_now


def test_a_missing_or_unlike_teacher_is_refused() -> None:
    logits, lengths, inputs = batch("transcription")
    objective = Objective(ObjectiveSettings(beta=1.0), "transcription")
    with pytest.raises(ValueError, match=r"objective's soft_targets needs the logits, but the batch has none"):
        objective.terms(Outputs(logits, lengths), replace(inputs, teacher_BTV=None))
    with pytest.raises(ValueError, match=r"\(3, 10, 6\) and \(3, 9, 6\). Give both the same subsampling"):
        objective.terms(Outputs(logits, lengths), replace(inputs, teacher_BTV=logits[:, :9]))
    text = Objective(ObjectiveSettings(beta=1.0, distill=FromHypotheses(name="hypotheses")), "transcription")
    with pytest.raises(ValueError, match="objective's hypotheses needs the hypotheses, but the batch has none"):
        text.terms(Outputs(logits, lengths), inputs)


def test_two_views_are_one_batch_of_twice_the_size() -> None:
    """Labels count half for each view, and so does the teacher; the weight is that of the consistency."""
    model, inputs = fresh("cnn"), tiny_inputs("transcription", 0, teacher=fresh("gru"))
    both = replace(inputs, second_BTF=inputs.features_BTF.flip(2)).both_views()
    settings = ObjectiveSettings.model_validate({"beta": 2, "self_distillation": [{"name": "cr_ctc", "weight": 0.3}]})
    terms = Objective(settings, "transcription").terms(Outputs(*model(both.features_BTF, both.lengths_B)), both)
    assert [(t.name, t.weight) for t in terms] == [("labels", 1.0), ("soft_targets", 2.0), ("cr_ctc", 0.3)]
    views = [model(x, inputs.lengths_B) for x in (inputs.features_BTF, inputs.features_BTF.flip(2))]
    labels = [LABEL_LOSSES["transcription"](*view, inputs.targets_BL, inputs.target_lengths_B) for view in views]
    torch.testing.assert_close(terms[0].value, (labels[0] + labels[1]) / 2)
    expected = consistency(views[0][0], views[1][0], views[0][1])
    torch.testing.assert_close(terms[2].value, expected)
    with pytest.raises(ValueError, match="compares two views of a batch, but the batch has only one"):
        inputs.both_views()


def test_hypotheses_of_two_views_are_the_same_twice() -> None:
    table = Hypotheses.of([[([1, 2], 1.0)], [([3], 3.0), ([1], 1.0)]])
    twice = table.twice()
    assert len(twice) == 4
    assert torch.equal(twice.targets_BNL[2:], table.targets_BNL)
    assert torch.equal(twice.weights_BN[:2], twice.weights_BN[2:])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"label_weight": 0.0, "beta": 0.0}, "label_weight and beta are both 0"),
        ({"label_weight": 0.0, "beta": {"from": 0, "to": 0, "epochs": 1}}, "label_weight and beta are both 0"),
        ({"beta": 1, "distill": [{"name": "dist"}, {"name": "dist"}]}, "distill names dist more than once"),
        (
            {"self_distillation": [{"name": "cr_ctc"}, {"name": "cr_ctc"}]},
            "self_distillation names cr_ctc more than once",
        ),
        (
            {"label_weight": 0, "beta": 1, "self_distillation": [{"name": "intermediate_ctc"}]},
            "intermediate_ctc learns from labels, but label_weight is 0",
        ),
        (
            {"beta": 1, "distill": {"name": "hypotheses", "n_best": 3, "beam": 2}},
            "a beam of 2 cannot give 3 hypotheses",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ObjectiveSettings.model_validate(settings)
