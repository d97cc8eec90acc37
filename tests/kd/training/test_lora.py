"""LoRA: adapters and the head learn, the rest stays to the bit, and what is saved is a plain model."""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch
from factories import make_features, make_model
from tiny_training import TinyValidation, saved_and_loaded, tiny_course, tiny_settings, weights_of
from torch import Tensor

from kd.config.lora import LoRA
from kd.models import Recogniser, build
from kd.training import Epoch
from kd.training.lora import fit_adapters, merged

pytest.importorskip("peft", reason="make test installs it (requirements-test.lock)")

FAST = {"optimiser": {"name": "adamw", "lr": 0.05}, "schedule": {"name": "constant"}}
BETTER = (0.5, 0.4, 0.3, 0.2)


def adapted(model: Recogniser, lora: LoRA, resume: Any = None, **changes: Any) -> Iterator[Epoch]:
    task, left = tiny_course(model, tiny_settings(**FAST, **changes.pop("settings", {})), **changes)
    return fit_adapters(model, task, lora=lora, resume=resume, **left)


class Hearing(TinyValidation):
    """Remembers the logits of the model that it last met."""

    def __call__(self, model: Recogniser) -> Mapping[str, float]:
        with torch.no_grad():
            self.logits = model(*make_features())[0]
        return super().__call__(model)


@pytest.mark.parametrize("averaging", [None, 0.9])
@pytest.mark.parametrize("targets", [("query", "value"), ("key", "out", "expand", "contract")])
def test_the_merged_model_is_the_adapted_one(targets: Any, averaging: float | None) -> None:
    model, validate = make_model("whisper", seed=1), Hearing(*BETTER)
    lora = LoRA(rank=3, alpha=5, targets=targets)
    *_, last = adapted(model, lora, validate=validate, settings={"averaging": averaging})
    plain = build(model.settings).eval()
    plain.load_state_dict(last.state["best_weights"], strict=True)
    with torch.no_grad():
        for recogniser in (plain, model.eval()):
            torch.testing.assert_close(recogniser(*make_features())[0], validate.logits, rtol=1e-5, atol=1e-5)
        before = make_model("whisper", seed=1)(*make_features())[0]
    assert (before - validate.logits).abs().max() > 0.1
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("targets", [("query", "value"), ("expand",)])
def test_only_targets_and_the_head_change(targets: Any) -> None:
    model, before = make_model("whisper", seed=1), make_model("whisper", seed=1).state_dict()
    list(adapted(model, LoRA(rank=2, targets=targets), validate=TinyValidation(*BETTER)))
    after = weights_of(model)
    assert after.keys() == before.keys()
    changed = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    at = "encoder.layers.{}.expand.weight" if targets == ("expand",) else "encoder.layers.{}.attention.{}.weight"
    assert changed == {at.format(i, t) for i in range(3) for t in targets} | {"head.weight", "head.bias"}
    for name in changed - {"head.weight", "head.bias"}:
        assert torch.linalg.matrix_rank(after[name] - before[name], rtol=1e-4) == 2


def test_the_first_adapted_model_is_the_one_before() -> None:
    """B is zero at first, so that without steps that count nothing changes."""
    model, validate = make_model("whisper", seed=1), Hearing()
    settings = {"optimiser": {"name": "sgd", "lr": 1e-20}, "epochs": 1}
    task, _ = tiny_course(model, tiny_settings(**settings), validate=validate)
    list(fit_adapters(model, task, lora=LoRA()))
    with torch.no_grad():
        torch.testing.assert_close(validate.logits, make_model("whisper", seed=1)(*make_features())[0])


@pytest.mark.parametrize("stop", [0, 2])
def test_resuming_equals_never_stopping(stop: int) -> None:
    """To the bit, with dropout in the adapters and a moving average."""
    lora, settings = LoRA(rank=2, dropout=0.3), {"averaging": 0.8}
    whole, first = make_model("whisper", seed=1), make_model("whisper", seed=1)
    expected = list(adapted(whole, lora, settings=settings, validate=TinyValidation(*BETTER)))
    run = adapted(first, lora, settings=settings, validate=TinyValidation(*BETTER))
    state = [saved_and_loaded(epoch.state) for epoch, _ in zip(run, range(stop + 1), strict=False)][-1]
    again = make_model("whisper", seed=1)
    torch.manual_seed(stop)
    later = TinyValidation(*BETTER[stop + 1 :])
    rest = list(adapted(again, lora, settings=settings, validate=later, resume=state))
    assert [e.metrics for e in rest] == [e.metrics for e in expected[stop + 1 :]]
    assert same(weights_of(again), weights_of(whole))
    assert same(rest[-1].best, expected[-1].best)


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(tensor, b[name]) for name, tensor in a.items())


def test_merging_by_hand() -> None:
    at = "query.lora_{}.default.weight"
    weights = {
        "query.base_layer.weight": torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
        at.format("A"): torch.tensor([[1.0, -1.0]]),
        at.format("B"): torch.tensor([[2.0], [0.5]]),
        "norm.bias": torch.tensor([7.0]),
    }
    found = merged(weights, LoRA(rank=1, alpha=2))
    assert {name: tensor.tolist() for name, tensor in found.items()} == {
        "query.weight": [[5.0, -2.0], [4.0, 3.0]],
        "norm.bias": [7.0],
    }


def test_without_peft_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ValueError, match=r"^LoRA needs peft: pip install -e '\.\[lora\]' -c requirements\.lock$"):
        next(adapted(make_model("whisper"), LoRA()))


def test_masks_are_refused() -> None:
    masks = {"encoder.layers.0.attention.query.weight": torch.ones(12, 12, dtype=torch.bool)}
    with pytest.raises(ValueError, match="adapters would fill weights that were pruned to zero"):
        next(adapted(make_model("whisper"), LoRA(), masks=masks))
