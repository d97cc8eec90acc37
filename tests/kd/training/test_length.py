"""How long a training lasts: by hand, and as the loop and its schedule keep to it."""

from typing import Any

import pytest
from tiny_shrinking import ADAPTER, UNITS
from tiny_shrinking import run as shrunk
from tiny_training import TinyValidation, fresh, tiny_batches, tiny_fit, tiny_settings, weights_of

from kd.config.length import LEAST_STEPS, MOST_STEPS, Length, averaging_for, patience_for, steps_for
from kd.config.training import TrainingSettings
from kd.propagation import CannotShrinkError
from kd.training import Batches
from kd.training.optim import rate_factor

COSINE = {"name": "cosine", "warmup_share": 0.0, "floor": 0.0}


@pytest.mark.parametrize(
    ("steps", "per_epoch", "epochs", "each"),
    [(6, 2, 3, [2, 2, 2]), (5, 2, 3, [2, 2, 1]), (1, 7, 1, [1]), (7, 7, 1, [7]), (3, 1, 3, [1, 1, 1])],
)
def test_a_length_by_hand(steps: int, per_epoch: int, epochs: int, each: list[int]) -> None:
    length = Length(steps, per_epoch)
    assert length.epochs == epochs
    assert [length.within(epoch, epoch + 1) for epoch in range(epochs)] == each
    assert length.within(0, epochs) == length.before(epochs) == length.before(epochs + 5) == steps


def test_epochs_are_so_many_steps() -> None:
    assert tiny_settings(epochs=3).length(5) == Length(15, 5)
    assert tiny_settings(epochs=None, steps=12).length(5) == Length(12, 5)


@pytest.mark.parametrize(
    ("hours", "steps"), [(0.01, 4000), (1, 4000), (2, 5700), (10, 12_600), (50, 28_300), (100, 40_000), (9000, 40_000)]
)
def test_steps_by_hours_are_those_of_the_table(hours: float, steps: int) -> None:
    assert steps_for(hours) == steps
    assert f"{hours:g}" not in ("1", "2", "10", "50", "100") or f"{steps:,}" in (steps_for.__doc__ or "")


def test_steps_never_fall_with_hours() -> None:
    steps = [steps_for(hours / 10) for hours in range(2000)]
    assert steps == sorted(steps)
    assert (steps[0], steps[-1]) == (LEAST_STEPS, MOST_STEPS)


def test_hours_choose_only_where_no_length_is_given() -> None:
    for given in ({"epochs": 4}, {"epochs": None, "steps": 9}):
        assert tiny_settings(**given).lasting(10) == tiny_settings(**given)
    free = tiny_settings(epochs=None, batch_seconds=36.0)  # 1,000 batches an epoch
    by_hours = {"steps": 12_600, "averaging": 1 - 1 / 1260, "patience": 4}
    assert free.lasting(10) == tiny_settings(epochs=None, batch_seconds=36.0, **by_hours)
    own = {"averaging": 0.9, "patience": 3}
    assert tiny_settings(epochs=None, **own).lasting(10) == tiny_settings(epochs=None, steps=12_600, **own)
    with pytest.raises(ValueError, match=r"neither epochs nor steps: give one"):
        free.length(2)
    with pytest.raises(ValueError, match=r"found both epochs: 4 and steps: 9: give one of them"):
        tiny_settings(steps=9)


@pytest.mark.parametrize("steps", [1, 20, LEAST_STEPS, MOST_STEPS])
def test_an_average_reaches_back_over_a_tenth_of_the_steps(steps: int) -> None:
    assert 0 < averaging_for(steps) < 1
    if steps >= 20:
        assert 1 / (1 - averaging_for(steps)) == pytest.approx(steps / 10)


@pytest.mark.parametrize(("length", "epochs"), [(Length(4000, 100), 10), (Length(4000, 3000), 1), (Length(10, 4), 1)])
def test_patience_is_a_quarter_of_the_steps(length: Length, epochs: int) -> None:
    assert patience_for(length) == epochs


def test_settings_without_the_new_keys_are_written_as_before() -> None:
    """So that what studies share by the hash of their settings is found again."""
    written = tiny_settings().model_dump(mode="json")
    assert list(written)[:2] == ["epochs", "batch_seconds"]
    assert not {"steps", "averaging"} & written.keys()
    for changes in ({}, {"epochs": None, "steps": 3, "averaging": 0.9}, {"epochs": None}):
        settings = tiny_settings(**changes)
        assert TrainingSettings.model_validate(settings.model_dump(mode="json")) == settings


def test_training_ends_after_its_steps_and_the_schedule_spans_them() -> None:
    """Five steps in epochs of two: the last has one, and its rate is the schedule's end."""
    settings = tiny_settings(epochs=None, steps=5, optimiser={"name": "adam", "lr": 1.0}, schedule=COSINE)
    counted, made = [], tiny_batches()

    def epoch(index: int) -> Any:
        for inputs in made.epoch(index):
            counted.append(index)
            yield inputs

    model = fresh()
    epochs = list(tiny_fit(model, settings, batches=Batches(epoch, 2)))
    assert counted == [0, 0, 1, 1, 2]
    assert [e.finished for e in epochs] == [False, False, True]
    shape = settings.schedule
    assert [e.metrics["lr"] for e in epochs] == pytest.approx([rate_factor(shape, n, 5) for n in (2, 4, 5)])
    assert epochs[-1].metrics["lr"] == pytest.approx(0.0)


def test_steps_that_fill_their_epochs_do_what_epochs_do() -> None:
    """To the bit."""
    one, other = fresh(), fresh()
    first = list(tiny_fit(one, tiny_settings(epochs=3)))
    second = list(tiny_fit(other, tiny_settings(epochs=None, steps=6)))
    assert [e.metrics for e in first] == [e.metrics for e in second]
    assert all((tensor == weights_of(other)[name]).all() for name, tensor in weights_of(one).items())


def test_patience_counts_validations_of_steps_too() -> None:
    settings = tiny_settings(epochs=None, steps=11, patience=2)
    epochs = list(tiny_fit(fresh(), settings, validate=TinyValidation(0.5, 0.4, 0.6, 0.6, 0.1)))
    assert [e.finished for e in epochs] == [False, False, False, True]
    assert epochs[-1].state["best_epoch"] == 1


def test_a_training_in_steps_shrinks() -> None:
    shrink = ADAPTER.validate_python({**UNITS["gates"], "dims": ["hidden"], "epochs": 2})
    settings = tiny_settings(epochs=None, steps=7, optimiser={"name": "adam", "lr": 1.0e-3}, schedule=COSINE)
    epochs = list(shrunk(fresh("cnn"), shrink, settings))
    assert [e.metrics["phase"] for e in epochs] == [0, 0, 1, 1]
    shape = settings.schedule
    expected = [rate_factor(shape, 2, 4), 0.0, rate_factor(shape, 2, 3), 0.0]
    assert [e.metrics["lr"] for e in epochs] == pytest.approx([1.0e-3 * factor for factor in expected])


def test_shrinking_that_leaves_no_epoch_is_refused_before_the_first() -> None:
    shrink = ADAPTER.validate_python({**UNITS["gates"], "dims": ["hidden"], "epochs": 2})
    message = r"shrink.epochs: 2 of the training's 2 epochs \(3 steps of 2 an epoch\) leave none for the smaller model"
    with pytest.raises(CannotShrinkError, match=message):
        next(shrunk(fresh("cnn"), shrink, tiny_settings(epochs=None, steps=3)))


def test_no_batch_is_made_that_no_step_takes() -> None:
    def epoch(index: int) -> Any:
        yield next(iter(tiny_batches().epoch(0)))
        raise AssertionError("the second batch is asked for")

    assert len(list(tiny_fit(fresh(), tiny_settings(epochs=None, steps=1), batches=Batches(epoch, 2)))) == 1
