"""One trial: what its point is to blame for is refused with a reason, and all else fails."""

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_search import HERE, written

from tasks.experiments.tune.folders import POINT, read_result
from tasks.experiments.tune.settings import Knob, load_search
from tasks.experiments.tune.trial import run_trial

BLAMED: dict[str, Any] = {
    f"{HERE}operators": [{"op": "prune_weights", "threshold": 1e6}],
    f"{HERE}shrink": {"how": "gates", "epochs": 1, "dims": ["hidden"], "sparsity": 0.99},
    "student_training.optimiser": {"name": "sgd", "lr": 1e30},
}
REASONS = (
    "students.candidate.operators: threshold 1000000.0 leaves no weight alive",
    "shrink: sparsity 0.99 of",
    "the model has diverged",
)


def at(root: Path, point: dict[str, Any]) -> Path:
    """A trial's folder."""
    folder = root / f"trial-{len([*root.iterdir()])}"
    folder.mkdir()
    (folder / POINT).write_text(json.dumps(point))
    return folder


def test_a_trial_that_cannot_be_says_why(project: Any) -> None:
    """Before any training of its own."""
    file = written(project.root, at_most=50)
    search = load_search(file)
    for point, reason in [
        (
            {f"{HERE}operators.0.keep.hidden": 9},
            "students.candidate.operators.0.keep.hidden: 9, but there are only 8",
        ),
        ({f"{HERE}operators.0.keep.hidden": 7}, "is above 50"),
    ]:
        folder = project.root / str(len(reason))
        folder.mkdir()
        (folder / POINT).write_text(json.dumps(point))
        assert reason in run_trial(search, folder, project.root)["refused"]
        assert read_result(folder) is not None
        assert not (folder / "models" / "candidate").exists()


def test_what_the_point_is_to_blame_for_is_refused_and_all_else_fails(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = load_search(written(project.root))
    search = search.model_copy(
        update={"space": {**search.space, **{k: Knob(choices={"a": v}) for k, v in BLAMED.items()}}}
    )
    for key, reason in zip(BLAMED, REASONS, strict=True):
        folder = at(project.root, {key: "a"})
        assert reason in run_trial(search, folder, project.root)["refused"]
        assert read_result(folder) is not None

    def broken(_: Path) -> Any:
        raise ValueError("models/teacher: broken")

    monkeypatch.setattr("tasks.stages.propagate.load_checkpoint", broken)
    folder = at(project.root, {f"{HERE}objective.beta": 0.7})
    with pytest.raises(ValueError, match="broken"):
        run_trial(search, folder, project.root)
    assert read_result(folder) is None
