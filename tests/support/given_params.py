"""A params.yaml that is right, and changes of it: what tests of mistakes begin with."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tasks.params.errors import ParamsError
from tasks.params.load import parse_params

RNN = {"family": "rnn", "stem": 8, "width": 12, "layers": 2, "hidden": [10, 7]}
CONFORMER = {
    "family": "conformer", "stem": 8, "width": 12, "layers": 1, "heads": 2, "feed_forward_1": 9, "feed_forward_2": 8,
    "channels": 5,
}  # fmt: skip
PATCH = {"family": "patch_cnn"}
FSDD = {"kind": "fsdd", "root": "c"}
TRAINING = {"epochs": 2, "batch_seconds": 10}
SLICE = {"op": "slice", "keep": {"hidden": 3}}


def keep(**amounts: float) -> dict[str, Any]:
    return {"op": "slice", "keep": amounts}


def prune_units(*dims: str, **amount: Any) -> dict[str, Any]:
    return {"op": "prune_units", "dims": list(dims), **amount}


GATES = {"how": "gates", "dims": ["hidden"], "sparsity": 0.5, "epochs": 1}
HALF = prune_units("hidden", sparsity=0.5)
GRADUAL = {"how": "gradual", "epochs": 2, "steps": 2, "prune": HALF}
GOOD: dict[str, Any] = {
    "problem": {"kind": "transcription", "units": {"kind": "characters"}},
    "corpus": {"kind": "manifest", "root": "corpora", "file": "m.csv"},
    "preprocess": {},
    "frontend": {},
    "teacher": {"source": "train", "model": RNN, "training": TRAINING},
    "student_training": TRAINING,
    "student_augment": {},
    "students": {
        "small": {"init": "random", "model": RNN, "teacher": "none"},
        "cut": {"init": "teacher", "operators": [SLICE], "teacher": "teacher", "objective": {"beta": 1.0}},
        "again": {
            "init": "cut",
            "operators": [{"op": "slice", "keep": {"hidden": 2}}],
            "teacher": "small",
            "objective": {"beta": 1.0},
        },
    },
    "export": {},
    "evaluation": {},
}
REMOVE = object()


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    """GOOD with values at dotted paths replaced, or removed."""
    data: dict[str, Any] = json.loads(json.dumps(GOOD))
    for path, value in changes.items():
        *parents, key = path.split(".")
        place: Any = data
        for parent in parents:
            place = place[int(parent) if parent.isdigit() else parent]
        if value is REMOVE:
            del place[key]
        else:
            place[int(key) if key.isdigit() else key] = value
    return data


def lines(**changes: Any) -> list[str]:
    with pytest.raises(ParamsError) as caught:
        parse_params(changed(changes))
    assert str(caught.value).splitlines() == caught.value.lines
    return caught.value.lines


Mistakes = Mapping[str, tuple[dict[str, Any], str]]
"""By name: what is changed, and how the line begins that says so."""


def each_in_one_line(mistakes: Mistakes) -> Callable[[str], None]:
    """A test that each mistake gives one line, which begins so."""

    @pytest.mark.parametrize("mistake", mistakes)
    def test(mistake: str) -> None:
        changes, expected = mistakes[mistake]
        (line,) = lines(**changes)
        assert line.startswith(expected)

    return test
