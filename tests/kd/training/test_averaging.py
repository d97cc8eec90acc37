"""Averages of weights: by hand, by their laws, and through the loop, killed or not, shrunk, masked and in 8 bits."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from tiny_shrinking import ADAPTER, UNITS, final
from tiny_shrinking import run as shrunk
from tiny_training import TinyValidation, fresh, saved_and_loaded, tiny_batches, tiny_fit, tiny_settings, weights_of
from torch import Tensor

from kd.models import Recogniser
from kd.training import Batches, Inputs
from kd.training.averaging import MovingAverage, NoAverage, decay_after, make_average


def fill(model: Recogniser, value: float) -> None:
    for tensor in model.state_dict().values():
        tensor.fill_(value)


def test_by_hand() -> None:
    """Weights 1, 2, 4 with decay 0.2: 1; then 2/11 (under 0.2) of it and 9/11 of 2; then 0.2 of that and 0.8 of 4."""
    model = fresh("conformer")
    average = MovingAverage(model, 0.2)
    second = 2 / 11 * 1 + 9 / 11 * 2
    for value, expected in ((1.0, 1.0), (2.0, second), (4.0, 0.2 * second + 0.8 * 4)):
        fill(model, value)
        average.add()
        for name, tensor in average.weights().items():
            real = tensor.is_floating_point()
            torch.testing.assert_close(tensor, torch.full_like(tensor, expected if real else value), msg=name)


def test_it_forgets_fast_at_first_and_never_faster_than_its_decay_says() -> None:
    decays = [decay_after(steps, 0.99) for steps in range(2000)]
    assert decays[:3] == [1 / 10, 2 / 11, 3 / 12]
    assert decays == sorted(decays)
    assert decays[-1] == 0.99


def test_batch_statistics_are_averaged_and_counts_are_not() -> None:
    model = fresh("conformer")
    average, seen = MovingAverage(model, 0.9), []
    for inner in (0.5, 1.0):
        model.train()
        model(inner * torch.randn(2, 30, 16), torch.tensor([30, 20]))
        average.add()
        seen.append(weights_of(model))
    first, last = seen
    statistics = [name for name in first if name.endswith("running_var")]
    assert statistics
    for name in statistics:
        expected = 2 / 11 * first[name] + 9 / 11 * last[name]
        torch.testing.assert_close(average.weights()[name], expected)
        assert not torch.equal(first[name], last[name])


def test_the_model_has_them_within_and_its_own_again_afterwards() -> None:
    model = fresh()
    average = MovingAverage(model, 0.9)
    average.add()
    fill(model, 3.0)
    own, averaged = weights_of(model), {name: t.clone() for name, t in average.weights().items()}

    def failing() -> None:
        with average.acting():
            assert all(torch.equal(tensor, averaged[name]) for name, tensor in model.state_dict().items())
            raise KeyError("validation fails")

    with pytest.raises(KeyError):
        failing()
    assert all(torch.equal(tensor, own[name]) for name, tensor in model.state_dict().items())


def test_without_one_the_weights_are_the_model_s() -> None:
    model = fresh()
    assert isinstance(make_average(model, None), NoAverage)
    assert all(torch.equal(t, model.state_dict()[k]) for k, t in make_average(model, None).weights().items())


class Kept(TinyValidation):
    """Keeps the weights that it validated."""

    def __init__(self, *errors: float) -> None:
        super().__init__(*errors)
        self.seen: list[dict[str, Tensor]] = []

    def __call__(self, model: Recogniser) -> Any:
        self.seen.append(weights_of(model))
        return super().__call__(model)


@pytest.mark.parametrize("quantised", ["no", "int8"])
def test_what_is_validated_and_chosen_is_the_average_while_training_goes_on_undisturbed(quantised: str) -> None:
    """The average is one over the weights that each batch finds, which are those of a run without any."""
    plain, model, there = fresh("conformer"), fresh("conformer"), fresh("conformer")
    before, inner, validate = [], tiny_batches(), Kept(0.5, 0.2, 0.4)

    def epoch(index: int) -> Iterator[Inputs]:
        for inputs in inner.epoch(index):
            before.append(weights_of(model))
            yield inputs

    settings: dict[str, Any] = {"epochs": 3, "qat": quantised}
    averaged = tiny_settings(averaging=0.6, **settings)
    *_, last = tiny_fit(model, averaged, validate=validate, batches=Batches(epoch, 2))
    list(tiny_fit(plain, tiny_settings(**settings)))
    assert all(torch.equal(tensor, plain.state_dict()[name]) for name, tensor in model.state_dict().items())
    oracle, expected = MovingAverage(there, 0.6), []
    for weights in (*before[1:], weights_of(model)):
        there.load_state_dict(weights)
        oracle.add()
        expected.append({name: t.clone() for name, t in oracle.weights().items()})
    for found, wanted in zip(validate.seen, expected[1::2], strict=True):
        assert all(torch.equal(tensor, wanted[name]) for name, tensor in found.items())
    assert all(torch.equal(tensor, validate.seen[1][name]) for name, tensor in last.best.items())
    assert not torch.equal(last.best["head.weight"], before[4]["head.weight"])


@pytest.mark.parametrize("name", ["gru", "conformer"])
def test_resuming_equals_never_stopping(name: str) -> None:
    """To the bit: weights, averages, metrics and the best epoch."""
    settings, errors = tiny_settings(averaging=0.9), (0.9, 0.3, 0.5, 0.4)
    whole = list(saved(fresh(name), settings, TinyValidation(*errors)))
    for stop in range(3):
        torch.manual_seed(stop)
        validate = TinyValidation(*errors[stop + 1 :])
        rest = list(saved(fresh(name), settings, validate, resume=whole[stop][1]))
        assert [metrics for metrics, _ in rest] == [metrics for metrics, _ in whole[stop + 1 :]]
        for part in ("model", "best_weights"):
            assert all(torch.equal(t, whole[-1][1][part][key]) for key, t in rest[-1][1][part].items())
        now, then = (run[-1][1]["average"] for run in (rest, whole))
        assert now["count"] == then["count"] == 8
        assert all(torch.equal(t, then["averaged"][key]) for key, t in now["averaged"].items())


def saved(model: Recogniser, settings: Any, validate: Any, **changes: Any) -> Iterator[Any]:
    for epoch in tiny_fit(model, settings, validate=validate, **changes):
        yield epoch.metrics, saved_and_loaded(epoch.state)


def test_pruned_weights_stay_zero() -> None:
    model = fresh()
    masks = {name: torch.arange(p.numel()).view(p.shape) % 3 > 0 for name, p in model.named_parameters() if p.ndim > 1}
    *_, last = tiny_fit(model, tiny_settings(averaging=0.9), masks=masks)
    assert all(not last.best[name][~mask].any() for name, mask in masks.items())
    assert all(last.best[name][mask].all() for name, mask in masks.items())


@pytest.mark.parametrize("how", UNITS)
def test_it_begins_anew_where_units_went(how: str) -> None:
    shrink = {**UNITS[how], **({} if how == "gradual" else {"dims": ["hidden"]})}
    if how == "gradual":
        shrink["prune"] = {**shrink["prune"], "dims": ["hidden"]}
    model = fresh("cnn")
    epochs = [
        (epoch.metrics, saved_and_loaded(epoch.state), epoch)
        for epoch in shrunk(model, ADAPTER.validate_python(shrink), tiny_settings(averaging=0.9))
    ]
    phases = [metrics["phase"] for metrics, _, _ in epochs]
    counts = [state["inner"]["average"]["count"] for _, state, _ in epochs]
    in_phase = [1 + phases[:index].count(phase) for index, phase in enumerate(phases)]
    assert counts == [2 * epochs for epochs in in_phase]
    there = final(model, epochs[-1][2])
    assert all(torch.equal(t, there.state_dict()[key]) for key, t in epochs[-1][2].best.items())
    torch.manual_seed(9)
    rest = list(
        shrunk(fresh("cnn"), ADAPTER.validate_python(shrink), tiny_settings(averaging=0.9), resume=epochs[1][1])
    )
    assert [e.metrics for e in rest] == [metrics for metrics, _, _ in epochs[2:]]
    assert all(torch.equal(t, epochs[-1][2].best[key]) for key, t in rest[-1].best.items())
