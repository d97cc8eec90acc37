"""The objective: labels * L(f_s, y) + beta * L(f_s, f_t), and its parts."""

import pytest
import torch
from tiny_training import fresh, tiny_inputs
from torch import Tensor

from kd.losses import LABEL_LOSSES, soft_targets
from kd.settings.losses import ObjectiveSettings, SoftTargets
from kd.training import Objective
from kd.training.objective import Parts

MATCH = SoftTargets(temperature=2.0)


def case(problem: str, **settings: float) -> tuple[Objective, Parts, Tensor, Tensor]:
    """An objective, its parts on a batch, and both terms computed directly."""
    inputs = tiny_inputs(problem, 0, teacher=fresh("gru", problem))
    student = fresh("cnn", problem)
    logits, lengths = student(inputs.features_BTF, inputs.lengths_B)
    taught = {"match": MATCH} if settings.get("beta") else {}
    objective = Objective(ObjectiveSettings.model_validate({**taught, **settings}), problem)
    assert inputs.teacher_BTV is not None
    parts = objective.parts(logits, lengths, inputs.targets_BL, inputs.target_lengths_B, inputs.teacher_BTV)
    label = LABEL_LOSSES[problem](logits, lengths, inputs.targets_BL, inputs.target_lengths_B)
    match = soft_targets(logits, inputs.teacher_BTV, lengths, settings=MATCH)
    return objective, parts, label, match


@pytest.mark.parametrize("problem", LABEL_LOSSES)
def test_is_the_weighted_sum(problem: str) -> None:
    objective, parts, label, match = case(problem, labels=0.3, beta=0.7)
    torch.testing.assert_close(objective.total(parts), 0.3 * label + 0.7 * match)
    torch.testing.assert_close(objective.total(parts, 2.0, 5.0), 0.6 * label + 3.5 * match)


def test_counts_what_each_term_is_a_mean_over() -> None:
    _, parts, _, _ = case("transcription", labels=1.0, beta=1.0)
    assert (parts.label_count, parts.match_count) == (3, 10 + 6 + 8)
    _, parts, _, _ = case("keyword", labels=1.0, beta=1.0)
    assert (parts.label_count, parts.match_count) == (3, 3)


def test_a_term_without_weight_is_not_computed() -> None:
    objective, parts, label, _ = case("keyword", labels=2.0, beta=0.0)
    assert parts.match is None
    assert not objective.uses_teacher
    torch.testing.assert_close(objective.total(parts), 2 * label)
    objective, parts, _, match = case("keyword", labels=0.0, beta=0.5)
    assert parts.label is None
    torch.testing.assert_close(objective.total(parts), 0.5 * match)


def test_a_missing_or_unlike_teacher_is_refused() -> None:
    inputs = tiny_inputs("transcription", 0)
    logits, lengths = fresh()(inputs.features_BTF, inputs.lengths_B)
    objective = Objective(ObjectiveSettings(beta=1.0), "transcription")
    rest = (inputs.targets_BL, inputs.target_lengths_B)
    with pytest.raises(ValueError, match=r"teacher's term .* but the batch has no teacher output"):
        objective.parts(logits, lengths, *rest, None)
    with pytest.raises(ValueError, match=r"\(3, 10, 6\) and \(3, 9, 6\). Give both the same subsampling"):
        objective.parts(logits, lengths, *rest, logits[:, :9])


def test_nothing_to_learn_is_refused() -> None:
    with pytest.raises(ValueError, match="labels and beta are both 0"):
        ObjectiveSettings(labels=0.0, beta=0.0)
