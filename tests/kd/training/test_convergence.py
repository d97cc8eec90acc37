"""What is said of a training's end: by hand, and of histories that studies have left."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest

from kd.training.convergence import unfinished

RESULTS = Path(__file__).parents[3] / "docs" / "results"


def history(errors: Sequence[float], train: float = 5.0, valid: float = 5.0) -> list[dict[str, float]]:
    return [
        {"epoch": float(i), "train_loss": train, "valid_error": error, "valid_loss": valid}
        for i, error in enumerate(errors)
    ]


FALLING = [0.95, 0.8, 0.6, 0.5, 0.45, 0.4, 0.36, 0.32, 0.28, 0.25]
DIPPING = [0.95, 0.6, 0.4, 0.3, 0.25, 0.24, 0.24, 0.25, 0.22, 0.2]
"""Stood still, until the falling learning rate lowered it once more."""


def test_still_falling_by_hand() -> None:
    assert unfinished(history(FALLING, 6.0, 4.0)) == (
        "its validation error was still falling when training ended (32.0% before the last fifth of the 10 epochs, "
        "25.0% after it) and it had not learnt its training part by heart (loss 6, validation 4): train it longer"
    )


@pytest.mark.parametrize(
    ("errors", "train", "valid"),
    [
        (DIPPING, 6.0, 4.0),  # the last dip alone
        (FALLING, 2.0, 4.0),  # by heart, and still better every epoch: an overfitting model under a falling rate
        (DIPPING, 0.1, 4.0),
        ([*FALLING, *[0.25] * 5], 6.0, 4.0),  # patience has ended it
        ([0.9, 0.5, *[0.2, 0.21] * 9], 6.0, 4.0),
        ([*FALLING[:8], 0.31, 0.305], 6.0, 4.0),  # by less than 5 %
        ([0.8, 0.7], 6.0, 4.0),
        ([0.0], 6.0, 4.0),
        ([0.5, 0.0, 0.0, 0.0], 6.0, 4.0),
    ],
)
def test_nothing_is_said_without_reason(errors: list[float], train: float, valid: float) -> None:
    assert unfinished(history(errors, train, valid)) is None


@pytest.mark.parametrize("errors", [[1.0] * 5, [0.99, 0.95, 0.93], [0.9], [1.2, 1.1]])
def test_the_blank_phase_is_named(errors: list[float]) -> None:
    said = unfinished(history(errors))
    assert said is not None
    assert said.startswith(f"its validation error never fell below 90% ({min(errors):.1%} at best), so it has learnt")


def test_the_loss_on_the_labels_counts_where_there_is_more() -> None:
    rows = history(FALLING, 6.0, 4.0)
    assert unfinished([{**row, "label_loss": 1.0} for row in rows]) is None
    assert unfinished([{**row, "label_loss": 3.0} for row in rows]) is not None


def test_errors_that_fall_to_zero_are_still_falling_and_those_at_zero_are_not() -> None:
    assert unfinished(history([0.8, 0.4, 0.2, 0.1, 0.0])) is not None
    assert unfinished(history([0.8, 0.4, 0.0, 0.0, 0.0])) is None


def teachers(study: str) -> dict[str, list[float]]:
    curves = pd.read_csv(RESULTS / f"{study}-curves.csv")
    chosen = curves[curves["model"] == "teacher"].sort_values("epoch").groupby("cell")["valid_error"]
    return {str(cell): list(errors) for cell, errors in chosen}


def test_of_real_teachers_of_keywords_few_and_of_those_in_steep_descent_all_are_named() -> None:
    """Histories of docs/results have no validation loss: the one of training stands for it."""
    keywords = [unfinished(history(errors)) for errors in teachers("keyword-sizes").values()]
    assert len(keywords) > 15
    assert sum(said is not None for said in keywords) <= len(keywords) // 10
    steep = teachers("conformer-tenth")["embedded-3-1e7b248f"]
    assert len(steep) == 22
    assert unfinished(history(steep)) is not None
    (blank,) = teachers("whisper-speechocean").values()
    assert "never fell below 90%" in str(unfinished(history(blank)))


def test_a_curve_that_flattens_is_unfinished_until_it_has() -> None:
    """An error that falls exponentially to a floor."""
    said = [unfinished(history([0.1 + 0.8 * 0.9**i for i in range(n)])) is not None for n in range(5, 80)]
    assert said[0]
    assert not said[-1]
    assert sum(a != b for a, b in pairwise(said)) == 1
