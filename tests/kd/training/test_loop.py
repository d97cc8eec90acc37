"""The loop: it learns, stops, chooses, resumes to the bit, and reproduces its golden curve."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from factories import ENCODERS
from precision import FLOAT32
from tiny_training import (
    TinyValidation,
    fresh,
    saved_and_loaded,
    tiny_batches,
    tiny_fit,
    tiny_inputs,
    tiny_settings,
    weights_of,
)

from kd.config.losses import ObjectiveSettings
from kd.training import Batches, Epoch, TrainingDivergedError

GOLDEN = Path(__file__).parent / "golden.json"

VARIANTS: dict[str, dict[str, Any]] = {
    "sgd-constant": {"optimiser": {"name": "sgd", "lr": 0.1}, "schedule": {"name": "constant"}},
    "adam-step": {"optimiser": {"name": "adam", "lr": 0.01}, "schedule": {"name": "step"}},
    "adamw-cosine": {"optimiser": {"name": "adamw", "lr": 0.01}, "schedule": {"name": "cosine"}},
    "rmsprop-cosine": {
        "optimiser": {"name": "rmsprop", "lr": 0.001, "momentum": 0.9},
        "schedule": {"name": "cosine", "warmup_share": 0.3},
    },
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", ["gru", "conformer"])
def test_resuming_equals_never_stopping(name: str, variant: str) -> None:
    """To the bit, weights, batch statistics, metrics and the best epoch; dropout is on."""
    settings = tiny_settings(**VARIANTS[variant])
    errors = (0.9, 0.3, 0.5, 0.4)
    whole = fresh(name)
    epochs = tiny_fit(whole, settings, validate=TinyValidation(*errors))
    expected = [(epoch.metrics, saved_and_loaded(epoch.state)) for epoch in epochs]
    for stop in range(3):
        first = fresh(name)
        run = tiny_fit(first, settings, validate=TinyValidation(*errors))
        state = [saved_and_loaded(epoch.state) for epoch, _ in zip(run, range(stop + 1), strict=False)][-1]
        model = fresh(name)
        torch.manual_seed(stop)
        rest = list(tiny_fit(model, settings, validate=TinyValidation(*errors[stop + 1 :]), resume=state))
        assert [e.index for e in rest] == list(range(stop + 1, 4))
        assert [e.metrics for e in rest] == [metrics for metrics, _ in expected[stop + 1 :]]
        for key, tensor in weights_of(whole).items():
            assert torch.equal(weights_of(model)[key], tensor), key
            assert torch.equal(rest[-1].best[key], expected[-1][1]["best_weights"][key]), key
        assert rest[-1].state["best_epoch"] == expected[-1][1]["best_epoch"] == 1


def test_a_finished_run_does_not_go_on() -> None:
    *_, last = tiny_fit(fresh(), tiny_settings(epochs=2))
    assert last.finished
    assert list(tiny_fit(fresh(), tiny_settings(epochs=2), resume=saved_and_loaded(last.state))) == []


def test_the_same_seed_gives_the_same_weights_and_another_does_not() -> None:
    finals = []
    for seed in (1, 1, 2):
        model = fresh()
        list(tiny_fit(model, tiny_settings(epochs=1, seed=seed)))
        finals.append(weights_of(model)["head.weight"])
    assert torch.equal(finals[0], finals[1])
    assert not torch.equal(finals[0], finals[2])


def run(*errors: float, loss: float = 1.0, **settings: Any) -> list[Epoch]:
    return list(tiny_fit(fresh(), tiny_settings(**settings), validate=TinyValidation(*errors, loss=loss)))


@pytest.mark.parametrize(
    ("errors", "patience", "epochs", "best"),
    [
        ((0.5, 0.4, 0.6, 0.6, 0.6, 0.1), 2, 4, 1),
        ((0.5, 0.4, 0.6, 0.3, 0.6, 0.6), 2, 6, 3),
        ((0.5, 0.6, 0.4), 1, 2, 0),
        ((0.5, 0.5, 0.5, 0.5, 0.5, 0.5), None, 6, 0),
    ],
)
def test_patience_by_hand(errors: tuple[float, ...], patience: int | None, epochs: int, best: int) -> None:
    seen = run(*errors, epochs=6, patience=patience)
    assert len(seen) == epochs
    assert [e.finished for e in seen] == [False] * (epochs - 1) + [True]
    assert seen[-1].state["best_epoch"] == best


def test_the_best_weights_are_those_of_the_best_epoch() -> None:
    model = fresh("conformer")
    at_epoch = []
    for epoch in tiny_fit(model, validate=TinyValidation(0.5, 0.2, 0.4, 0.3)):
        at_epoch.append(weights_of(model))
        best = epoch.best
    for key, tensor in at_epoch[1].items():
        assert torch.equal(best[key], tensor), key
    assert not torch.equal(at_epoch[3]["head.weight"], best["head.weight"])


def test_equal_errors_are_told_apart_by_the_loss() -> None:
    class Falling(TinyValidation):
        def __call__(self, model: Any) -> dict[str, float]:
            return {**super().__call__(model), "valid_loss": 1.0 / self.calls}

    *_, last = tiny_fit(fresh(), validate=Falling(0.5))
    assert last.state["best_epoch"] == 3


def test_a_diverged_loss_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(TrainingDivergedError, match=r"the loss became (nan|inf) in epoch 0: lower the learning rate"):
        run(optimiser={"name": "sgd", "lr": 1e30}, schedule={"name": "constant"}, max_grad_norm=None)
    with pytest.raises(TrainingDivergedError, match="validation loss is not a number after epoch 0"):
        run(loss=float("nan"))


def test_a_transcript_longer_than_its_audio_is_not_hidden() -> None:
    inputs = tiny_inputs("transcription", 0)
    inputs.lengths_B[1] = 8
    with pytest.raises(TrainingDivergedError, match="look for a transcript longer than its audio"):
        list(tiny_fit(fresh(), batches=Batches(lambda index: [inputs], 1)))


@pytest.mark.parametrize("name", [n for n in ENCODERS if n != "patch_cnn"])
def test_learns_two_batches_by_heart(name: str) -> None:
    settings = tiny_settings(epochs=60, optimiser={"name": "adam", "lr": 0.01}, schedule={"name": "constant"})
    losses = [epoch.metrics["label_loss"] for epoch in tiny_fit(fresh(name), settings)]
    assert losses[-1] < 0.3 * losses[0]


def test_learns_from_its_teacher_alone() -> None:
    batches = tiny_batches(teacher=fresh("lstm"))
    settings = tiny_settings(epochs=30, optimiser={"name": "adam", "lr": 0.01})
    objective = ObjectiveSettings(label_weight=0.0, beta=2.0)
    curve = [e.metrics for e in tiny_fit(fresh(), settings, batches=batches, objective=objective)]
    assert curve[-1]["distill_loss"] < 0.3 * curve[0]["distill_loss"]
    assert all(m["label_loss"] == 0 and m["train_loss"] == 2 * m["distill_loss"] for m in curve)


def test_metrics_are_means_over_what_each_loss_counts() -> None:
    """With a rate too small to move a weight: labels over utterances, matching over frames, of unequal batches."""
    teacher, model = fresh("lstm"), fresh("gru-one-way")
    inputs = [tiny_inputs("transcription", seed, teacher) for seed in (0, 1)]
    one = type(inputs[0])(
        inputs[0].features_BTF[:1], inputs[0].lengths_B[:1], inputs[0].targets_BL[:1], inputs[0].target_lengths_B[:1],
        teacher(inputs[0].features_BTF[:1], inputs[0].lengths_B[:1])[0].detach(),
    )  # fmt: skip
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    settings = tiny_settings(epochs=1, optimiser={"name": "sgd", "lr": 1e-20}, schedule={"name": "constant"})
    objective = ObjectiveSettings(label_weight=1.0, beta=0.5)
    alone = [
        next(tiny_fit(model, settings, batches=Batches(lambda i, x=x: [x], 1), objective=objective)).metrics
        for x in (one, inputs[1])
    ]
    both = next(tiny_fit(model, settings, batches=Batches(lambda i: [one, inputs[1]], 2), objective=objective)).metrics
    assert both["label_loss"] == pytest.approx((alone[0]["label_loss"] + 3 * alone[1]["label_loss"]) / 4, rel=1e-5)
    expected = (10 * alone[0]["distill_loss"] + 24 * alone[1]["distill_loss"]) / 34
    assert both["distill_loss"] == pytest.approx(expected, rel=1e-5)
    assert both["train_loss"] == pytest.approx(both["label_loss"] + 0.5 * both["distill_loss"], rel=FLOAT32)


def test_the_rate_follows_the_schedule_step_by_step() -> None:
    schedule = {"name": "step", "every_share": 0.25, "factor": 0.5}
    rates = [e.metrics["lr"] for e in tiny_fit(fresh(), tiny_settings(schedule=schedule))]
    assert rates == pytest.approx([2e-3 * f for f in (0.5, 0.25, 0.125, 0.0625)])


def test_a_skipped_step_keeps_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the gradient overflows under fp16: Accelerate skips the step, and the schedule waits for it."""
    monkeypatch.setattr(Accelerator, "optimizer_step_was_skipped", True)
    schedule = {"name": "step", "every_share": 0.25, "factor": 0.5}
    rates = [e.metrics["lr"] for e in tiny_fit(fresh(), tiny_settings(schedule=schedule))]
    assert rates == [2e-3] * 4


def test_a_clipped_gradient_moves_less() -> None:
    moved = []
    for max_grad_norm in (None, 1e-3):
        model, before = fresh(), weights_of(fresh())
        sgd = {"name": "sgd", "lr": 1.0, "momentum": 0.0}
        settings = tiny_settings(epochs=1, optimiser=sgd, schedule={"name": "constant"}, max_grad_norm=max_grad_norm)
        list(tiny_fit(model, settings, batches=tiny_batches(count=1)))
        moved.append(sum(float((weights_of(model)[k] - t).square().sum()) for k, t in before.items()) ** 0.5)
    assert moved[0] > 0.1
    assert moved[1] == pytest.approx(1e-3, rel=1e-2)


def test_bfloat16_learns_in_full_precision_weights() -> None:
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        model = fresh("conformer")
        settings = tiny_settings(epochs=20, precision="bf16", optimiser={"name": "adam", "lr": 0.01})
        losses = [e.metrics["label_loss"] for e in tiny_fit(model, settings)]
        full = fresh("conformer")
        assert all(t.dtype == full.state_dict()[k].dtype for k, t in model.state_dict().items())
        assert losses[-1] < 0.6 * losses[0]
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
    exact = next(tiny_fit(full, tiny_settings(epochs=20, optimiser={"name": "adam", "lr": 0.01})))
    assert losses[0] != exact.metrics["label_loss"], "mixed precision was really on"
    assert losses[0] == pytest.approx(exact.metrics["label_loss"], rel=0.02)


def test_half_precision_on_a_cpu_is_refused() -> None:
    with pytest.raises(ValueError, match="precision fp16 needs a GPU, but device is cpu: use bf16 or no"):
        tiny_settings(precision="fp16")


def curve(name: str) -> list[float]:
    model = fresh(name)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    epochs = tiny_fit(model, batches=tiny_batches(teacher=fresh("lstm")), objective=ObjectiveSettings(beta=0.5))
    return [epoch.metrics["train_loss"] for epoch in epochs]


@pytest.mark.parametrize("name", json.loads(GOLDEN.read_text()))
def test_reproduces_the_golden_curve(name: str) -> None:
    """A refactor gives the same losses. To change them on purpose, write what `curve` gives into golden.json."""
    assert curve(name) == pytest.approx(json.loads(GOLDEN.read_text())[name], rel=1e-4)
