"""A model in training: inner layers' logits, and heads that are trained beside it."""

from typing import Any

import pytest
import torch
from factories import ENCODERS, make_features, make_model
from precision import FLOAT32
from tiny_training import fresh, tiny_batches, tiny_fit, tiny_settings

from kd.config.losses import ObjectiveSettings
from kd.training.student_with_heads import StudentWithHeads

STACKED = [name for name in ENCODERS if name != "patch_cnn"]


def objective(**settings: Any) -> ObjectiveSettings:
    return ObjectiveSettings.model_validate({"self_distillation": [{"name": "intermediate_ctc", **settings}]})


@pytest.mark.parametrize("name", STACKED)
def test_a_shared_head_on_the_last_layer_would_be_the_models_own(name: str) -> None:
    """The layer before the last of a model is the last of the same model without that layer."""
    model = make_model(name)
    layers = model.settings.encoder.layers
    student = StudentWithHeads(model, objective(layers=[layers - 1]), seed=1)
    assert not list(student.beside.parameters())
    outputs = student(*make_features())
    shorter = make_model(name)
    shorter.encoder.layers = shorter.encoder.layers[:-1]
    expected, lengths = shorter(*make_features())
    (inner,) = outputs.inner_BTV
    for row, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(inner[row, :length], expected[row, :length])
    logits, _ = model(*make_features())
    assert torch.equal(outputs.logits_BTV, logits)


def test_without_inner_layers_it_is_the_model_alone() -> None:
    model = make_model("cnn")
    student = StudentWithHeads(model, ObjectiveSettings(), seed=1)
    assert [id(p) for p in student.parameters()] == [id(p) for p in model.parameters()]
    assert student(*make_features()).inner_BTV == ()


def test_own_heads_are_drawn_from_their_seed_and_leave_torchs_generator_alone() -> None:
    model = make_model("cnn")
    torch.manual_seed(3)
    heads = [
        StudentWithHeads(model, objective(layers=[1, 2], head="own"), seed).beside.state_dict() for seed in (1, 1, 2)
    ]
    drawn = torch.rand(3)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(3))
    assert heads[0].keys() == {f"head_{layer}.{part}" for layer in (1, 2) for part in ("weight", "bias")}
    assert torch.equal(heads[0]["head_1.weight"], heads[1]["head_1.weight"])
    assert not torch.equal(heads[0]["head_1.weight"], heads[2]["head_1.weight"])


def test_hooks_are_gone_after_a_pass() -> None:
    model = make_model("cnn")
    StudentWithHeads(model, objective(), seed=1)(*make_features())
    assert not any(module._forward_hooks for module in model.modules())


def test_a_layer_that_is_not_inner_is_refused() -> None:
    with pytest.raises(ValueError, match="names layer 3 of 3: choose inner ones, from 1 to 2"):
        StudentWithHeads(make_model("cnn"), objective(layers=[3]), seed=1)
    with pytest.raises(ValueError, match="needs an inner layer, but the model has only one"):
        StudentWithHeads(make_model("patch_cnn", "keyword"), objective(), seed=1)


@pytest.mark.parametrize("head", ["shared", "own"])
def test_inner_layers_learn_and_only_the_model_is_kept(head: str) -> None:
    settings = tiny_settings(epochs=40, optimiser={"name": "adam", "lr": 0.01}, schedule={"name": "constant"})
    model = fresh("cnn")
    epochs = list(tiny_fit(model, settings, objective=objective(head=head, imitate=0.1)))
    first, last = epochs[0].metrics, epochs[-1].metrics
    assert last["self_loss"] < 0.4 * first["self_loss"]
    assert last["train_loss"] == pytest.approx(last["label_loss"] + last["self_loss"], rel=FLOAT32)
    assert epochs[-1].best.keys() == model.state_dict().keys()
    assert bool(epochs[-1].state["beside"]) is (head == "own")


def test_heads_beside_resume_to_the_bit() -> None:
    runs = []
    for stop in (None, 1):
        model = fresh("gru")
        arguments: dict[str, Any] = {"objective": objective(head="own"), "batches": tiny_batches()}
        states = []
        for epoch in tiny_fit(model, **arguments):
            states.append({**epoch.state, "beside": {k: v.clone() for k, v in epoch.state["beside"].items()}})
            if epoch.index == stop:
                break
        if stop is not None:
            state = states[-1]
            model = fresh("gru")
            states = [epoch.state for epoch in tiny_fit(model, resume=state, **arguments)]
        runs.append((model.state_dict(), states[-1]["beside"]))
    for whole, resumed in zip(*runs, strict=True):
        assert whole.keys() == resumed.keys()
        assert all(torch.equal(whole[key], resumed[key]) for key in whole)
