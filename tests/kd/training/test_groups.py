"""Gradient accumulation: a batch in groups has the gradient of the whole batch."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from factories import CASES, make_model
from tiny_training import tiny_batches, tiny_fit, tiny_inputs, tiny_settings
from torch import Tensor, nn

from kd.config.losses import NEEDS_BLANK, ObjectiveSettings
from kd.config.shrink import Gates
from kd.config.states import state_widths
from kd.losses import DISTILL_LOSSES, SELF_LOSSES
from kd.models import Recogniser
from kd.models.normalisation import FrameBatchNorm
from kd.propagation.shrink.gates import GatePenalty
from kd.teachers.hypotheses import Hypotheses
from kd.training import Batches, Inputs
from kd.training.states import states_of, tapped

ACROSS = [name for name, loss in DISTILL_LOSSES.items() if loss.counts == "batch"]
OBJECTIVES: dict[str, dict[str, Any]] = {
    "labels": {},
    **{name: {"beta": 0.7, "distill": {"name": name}} for name in DISTILL_LOSSES if name not in ACROSS},
    "several": {"label_weight": 0.3, "beta": 2, "distill": [{"name": "soft_targets"}, {"name": "features"}]},
    **{name: {"self_distillation": [{"name": name}]} for name in SELF_LOSSES},
    "own heads": {"self_distillation": [{"name": "intermediate_ctc", "head": "own", "imitate": 0.5}]},
    "two views taught": {"beta": 0.5, "self_distillation": [{"name": "cr_ctc", "weight": 0.3}]},
}
FOR_TRANSCRIPTS = {*NEEDS_BLANK, *SELF_LOSSES, "own heads", "two views taught"}
MEANS = [
    (name, problem, objective)
    for name, problem in CASES
    for objective in OBJECTIVES
    if problem == "transcription" or objective not in FOR_TRANSCRIPTS
]


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batch norms keep to their running statistics."""
    monkeypatch.setattr(FrameBatchNorm, "train", lambda self, mode=True: nn.Module.train(self, False))


def without_dropout(name: str, problem: str = "transcription") -> Recogniser:
    model = make_model(name, problem, seed=1)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model


def everything(problem: str, teacher: Recogniser) -> Inputs:
    """Three utterances of unequal lengths, one without a label, with all that any loss asks for."""
    plain = tiny_inputs(problem, 3)
    layers = range(1, 1 + len(state_widths(teacher.settings.encoder)))
    with torch.no_grad(), tapped(teacher, layers) as caught:
        logits_BTV, frames_B = teacher(plain.features_BTF, plain.lengths_B)
    said = [[([1], 1.0)], [([2], 1.0), ([3] if problem == "keyword" else [2, 3], 2.0)], []]
    return replace(
        plain,
        target_lengths_B=plain.target_lengths_B * torch.tensor([1, 0, 1]),
        teacher_BTV=logits_BTV,
        teacher_lengths_B=frames_B,
        hypotheses=Hypotheses.of(said),
        second_BTF=plain.features_BTF.flip(2),
        states=states_of(teacher, caught, plain.lengths_B),
    )


def gradients(
    name: str, problem: str, objective: dict[str, Any], count: int, change: Callable[[Inputs], Inputs] = lambda x: x
) -> dict[str, Tensor]:
    """The model's in a step on three utterances in so many groups."""
    model, teacher = without_dropout(name, problem), make_model("gru", problem, seed=5)
    inputs = change(everything(problem, teacher))
    settings = tiny_settings(epochs=1, max_grad_norm=None, micro_batches=count)
    learns = ObjectiveSettings.model_validate(objective)
    batches = Batches(lambda index: [inputs], 1)
    list(tiny_fit(model, settings, objective=learns, batches=batches, teacher=teacher.settings.encoder))
    return {key: p.grad.clone() for key, p in model.named_parameters() if p.grad is not None}


def assert_alike(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """To 1e-5 of the whole gradient's norm."""
    assert found.keys() == expected.keys()
    flat, right = (torch.cat([found_[key].flatten() for key in expected]) for found_ in (found, expected))
    assert right.norm() > 1e-3
    assert (flat - right).norm() < 1e-5 * right.norm()


@pytest.mark.parametrize(("name", "problem", "objective"), MEANS, ids=["-".join(case) for case in MEANS])
def test_groups_have_the_gradient_of_the_whole_batch(still: None, name: str, problem: str, objective: str) -> None:
    whole, parts = (gradients(name, problem, OBJECTIVES[objective], count) for count in (1, 3))
    assert_alike(parts, whole)


@pytest.mark.parametrize("loss", ACROSS)
def test_what_looks_across_utterances_is_the_mean_over_groups(still: None, loss: str) -> None:
    """Two groups of three utterances: those of one view, and those of the other."""
    objective = {"label_weight": 0, "beta": 1, "distill": {"name": loss}}
    found = gradients("gru", "transcription", objective, 2, Inputs.both_views)
    first = gradients("gru", "transcription", objective, 1)
    second = gradients("gru", "transcription", objective, 1, lambda x: x.both_views().groups(2)[1])
    assert_alike(found, {key: (first[key] + second[key]) / 2 for key in found})


def test_metrics_and_diagnostics_are_those_of_the_whole_batch(still: None) -> None:
    columns = []
    for count in (1, 3, 50):
        model, inputs = without_dropout("lstm-one-way"), everything("transcription", make_model("gru", seed=5))
        settings = tiny_settings(epochs=1, micro_batches=count)
        batches = Batches(lambda index, inputs=inputs: [inputs], 1)
        (epoch,) = tiny_fit(model, settings, objective=ObjectiveSettings(beta=0.5), batches=batches)
        columns.append(epoch.metrics)
    assert {"label_gradient", "distill_gradient", "blank_kl", "train_loss"} <= columns[0].keys()
    assert columns[1] == pytest.approx(columns[0], rel=1e-5)
    assert columns[2] == columns[1], "as many groups as utterances"


def test_gates_learn_of_all_groups() -> None:
    gates = Gates(how="gates", dims=("width", "hidden"), sparsity=0.4, epochs=1)
    found = []
    for count in (1, 3):
        model = without_dropout("gru")
        hook = GatePenalty(model, gates, 10, seed=1)
        hook.descent.param_groups[0]["lr"] = 0.0
        settings = tiny_settings(epochs=1, max_grad_norm=None, micro_batches=count)
        list(tiny_fit(model, settings, weight_hook=hook, batches=tiny_batches(count=1)))
        assert hook.log_alpha_N.grad is not None
        weights = {key: p.grad.clone() for key, p in model.named_parameters() if p.grad is not None}
        found.append({**weights, "gates": hook.log_alpha_N.grad.clone()})
    assert_alike(found[1], found[0])
    assert (found[1]["gates"] - found[0]["gates"]).norm() < 1e-5 * found[0]["gates"].norm()


def test_no_group_holds_more_than_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, forward = [], Recogniser.forward

    def counted(self: Recogniser, features_BTF: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        sizes.append(len(lengths_B))
        return forward(self, features_BTF, lengths_B)

    monkeypatch.setattr(Recogniser, "forward", counted)
    list(tiny_fit(make_model("gru"), tiny_settings(epochs=1, micro_batches=2), batches=tiny_batches(count=1)))
    assert sizes == [1, 2]


def test_one_group_says_nothing_in_a_dump() -> None:
    assert "micro_batches" not in tiny_settings().model_dump(mode="json")
    assert tiny_settings(micro_batches=4).model_dump(mode="json")["micro_batches"] == 4
