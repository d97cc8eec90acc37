"""Diagnostics over an epoch: what is measured, on which batches, and that training does not feel it."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from precision import FLOAT32
from tiny_training import fresh, tiny_batches, tiny_fit, tiny_inputs
from torch import Tensor

from kd.config.losses import ObjectiveSettings
from kd.losses import LABEL_LOSSES, soft_targets
from kd.training import Inputs, Objective
from kd.training.distill_metrics import DistillMetrics
from kd.training.states import states_of, tapped
from kd.training.student_with_heads import Outputs, StudentWithHeads

COLUMNS = {"teacher_entropy", "spike_f1", "label_gradient", "distill_gradient"}
CTC_COLUMNS = COLUMNS | {"blank_kl", "nonblank_kl", "blank_share"}


def path(*units: int) -> Tensor:
    return 5.0 * torch.nn.functional.one_hot(torch.tensor([units]), 4).float()


def measured(student: Tensor, teacher: Tensor, feature_frames: int = 32, **objective: Any) -> dict[str, float]:
    settings = ObjectiveSettings.model_validate({"beta": 0.5, **objective})
    student.requires_grad_()
    lengths, one = torch.tensor([student.shape[1]]), torch.tensor([1])
    inputs = Inputs(torch.zeros(1, 32, 2), torch.tensor([feature_frames]), torch.tensor([[1]]), one, teacher)
    whole = Objective(settings, "transcription")
    distill_metrics = DistillMetrics(whole, 1, Accelerator(cpu=True))
    outputs = Outputs(student, lengths)
    terms = whole.terms(outputs, inputs)
    distill_metrics.add(outputs, inputs, terms, [1.0] * len(terms))
    return distill_metrics.means(10.0)


def test_a_late_student_by_hand() -> None:
    """Each of three spikes two frames later (8 frames of 32 at 10 ms: 40 ms each), one made up: 6 of 7 are common."""
    teacher, student = path(1, 0, 2, 0, 3, 0, 0, 0), path(0, 0, 1, 0, 2, 0, 3, 1)
    found = measured(student, teacher)
    assert (found["delay_frames"], found["delay_ms"]) == (2, 80)
    assert found["spike_f1"] == pytest.approx(6 / 7, rel=FLOAT32)
    p = math.exp(5) / (math.exp(5) + 3)
    certain = -(p * math.log(p) + (1 - p) * math.log((1 - p) / 3))
    assert found["teacher_entropy"] == pytest.approx(certain, rel=FLOAT32)
    apart = (p - (1 - p) / 3) * 5  # KL of two frames that differ in their unit
    assert found["nonblank_kl"] == pytest.approx(apart, rel=FLOAT32)
    assert found["blank_kl"] == pytest.approx(apart * 2 / 5, rel=FLOAT32)
    assert found["blank_share"] == pytest.approx(2 / 5, rel=FLOAT32), "apart in two silent frames and three spoken ones"


def test_gradients_are_those_of_the_weighted_sides() -> None:
    teacher, student = path(1, 0, 2), torch.randn(1, 3, 4, generator=torch.Generator().manual_seed(1))
    found = measured(student, teacher, 12, label_weight=2.0)
    settings = ObjectiveSettings(beta=0.5).distill_losses[0]
    lengths, one = torch.tensor([3]), torch.tensor([1])
    sides = {
        "label": 2.0 * LABEL_LOSSES["transcription"](student, lengths, torch.tensor([[1]]), one),
        "distill": 0.5 * soft_targets(student, teacher, lengths, settings=settings),
    }
    for side, loss in sides.items():
        (gradient,) = torch.autograd.grad(loss, student)
        assert found[f"{side}_gradient"] == pytest.approx(float(gradient.norm()), rel=FLOAT32)


def test_a_silent_student_has_no_delay() -> None:
    found = measured(path(0, 0, 0), path(0, 1, 0), 12)
    assert found.keys() == CTC_COLUMNS
    assert found["spike_f1"] == 0


@pytest.mark.parametrize(("per_epoch", "expected"), [(1, [0]), (8, [0]), (90, [0, 30, 60]), (300, [0, 100, 200])])
def test_a_few_batches_are_measured(per_epoch: int, expected: list[int]) -> None:
    distill_metrics = DistillMetrics(Objective(ObjectiveSettings(beta=1), "keyword"), per_epoch, Accelerator(cpu=True))
    assert [i for i in range(per_epoch) if distill_metrics.measures(i)] == expected
    alone = DistillMetrics(Objective(ObjectiveSettings(), "keyword"), per_epoch, Accelerator(cpu=True))
    assert not any(alone.measures(i) for i in range(per_epoch))


@pytest.mark.parametrize("problem", ["transcription", "keyword"])
def test_history_has_them_where_there_is_a_teacher(problem: str) -> None:
    batches = tiny_batches(problem, teacher=fresh("lstm", problem))
    runs = [tiny_fit(fresh(problem=problem), batches=batches, objective=ObjectiveSettings(beta=b)) for b in (0.5, 0.0)]
    taught, alone = (next(run).metrics for run in runs)
    found = taught.keys() - alone.keys() - {"delay_frames", "delay_ms"}
    assert COLUMNS < found <= CTC_COLUMNS if problem == "transcription" else found == COLUMNS
    assert not {"spike_f1", "label_gradient"} & alone.keys()


def test_a_teacher_equal_to_the_student_agrees_in_everything() -> None:
    model = fresh("cnn")
    inputs = tiny_inputs("transcription", 0, teacher=model)
    objective = Objective(ObjectiveSettings(beta=1.0), "transcription")
    distill_metrics = DistillMetrics(objective, 1, Accelerator(cpu=True))
    outputs = Outputs(*model(inputs.features_BTF, inputs.lengths_B))
    terms = objective.terms(outputs, inputs)
    distill_metrics.add(outputs, inputs, terms, [1.0, 1.0])
    found = distill_metrics.means(10.0)
    assert (found["spike_f1"], found["delay_frames"]) == (1.0, 0)
    assert found["nonblank_kl"] == pytest.approx(0, abs=FLOAT32)
    assert found["distill_gradient"] == pytest.approx(0, abs=FLOAT32)


def test_gradients_of_inner_states_are_measured_where_they_meet_the_labels() -> None:
    """At the encoder's output: each is its gradient behind a linear layer, times that layer's weights."""
    model, teacher = fresh("cnn"), fresh("gru")
    inputs = tiny_inputs("transcription", 0)
    settings = ObjectiveSettings.model_validate({"beta": 0.5, "distill": {"name": "features", "layers": 1}})
    with torch.no_grad(), tapped(teacher, [3]) as caught:
        teacher(inputs.features_BTF, inputs.lengths_B)
    inputs = replace(inputs, states=states_of(teacher, caught, inputs.lengths_B))
    objective = Objective(settings, "transcription")
    student = StudentWithHeads(model, settings, 1, teacher.settings.encoder)
    outputs = student(inputs.features_BTF, inputs.lengths_B)
    terms = objective.terms(outputs, inputs)
    distill_metrics = DistillMetrics(objective, 1, Accelerator(cpu=True))
    distill_metrics.add(outputs, inputs, terms, [1.0, 1.0])
    found = distill_metrics.means(10.0)
    (at_logits,) = torch.autograd.grad(terms[0].value, outputs.logits_BTV, retain_graph=True)
    assert found["label_gradient"] == pytest.approx(float((at_logits @ model.head.weight.detach()).norm()), rel=1e-4)
    assert outputs.projected is not None
    (at_projected,) = torch.autograd.grad(0.5 * terms[1].value, outputs.projected[3, 3], retain_graph=True)
    weight = student.beside.state_dict()["project_3_3.weight"]
    assert found["distill_gradient"] == pytest.approx(float((at_projected @ weight).norm()), rel=1e-4)
