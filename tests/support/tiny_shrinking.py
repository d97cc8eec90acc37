"""Students that shrink while they are trained: short ones, of every family, way and dim."""

from collections.abc import Iterator
from typing import Any

import torch
from pydantic import TypeAdapter
from tiny_training import tiny_batches, tiny_course

from kd.config.models import ModelSettings
from kd.config.propagation import DataDriven
from kd.config.shrink import Shrink
from kd.config.training import TrainingSettings
from kd.models import Recogniser, build
from kd.propagation.budget import Cost
from kd.propagation.calibration import Loss, gather
from kd.propagation.shrink import fit_and_shrink, restored
from kd.training import Epoch

DIMS = {
    "cnn": ["width", "stem", "hidden"],
    "gru": ["width", "stem", "hidden"],
    "lstm": ["width", "stem", "hidden"],
    "conformer": ["width", "stem", "heads", "feed_forward", "channels"],
    "whisper": ["width", "stem", "heads", "feed_forward"],
    "wav2vec2": ["width", "channels", "heads", "feed_forward"],
    "wav2vec2-gated": ["width", "channels", "heads", "feed_forward"],
    "patch_cnn": ["channels", "hidden"],
}
UNITS: dict[str, dict[str, Any]] = {
    "gates": {"how": "gates", "sparsity": 0.4, "of": "units", "epochs": 1},
    "group_lasso": {"how": "group_lasso", "sparsity": 0.4, "of": "units", "epochs": 1},
    "gradual": {"how": "gradual", "epochs": 2, "steps": 2, "prune": {"op": "prune_units", "sparsity": 0.4}},
}
WEIGHTS: dict[str, dict[str, Any]] = {
    "l1": {"how": "l1", "sparsity": 0.4, "epochs": 1},
    "gradual": {"how": "gradual", "epochs": 2, "steps": 2, "prune": {"op": "prune_weights", "sparsity": 0.4}},
}
ADAPTER: TypeAdapter[Shrink] = TypeAdapter(Shrink)


def shrink_of(how: str, *dims: str) -> Shrink:
    """Settings of a way to remove units of these dims, or weights where there are none."""
    data = dict((UNITS if dims else WEIGHTS)[how])
    if dims and "prune" in data:
        data["prune"] = {**data["prune"], "dims": dims}
    elif dims:
        data["dims"] = dims
    return ADAPTER.validate_python(data)


def problem_of(name: str) -> str:
    return "keyword" if name == "patch_cnn" else "transcription"


def calibrate(model: Recogniser, importance: DataDriven) -> Any:
    def loss(there: Recogniser) -> torch.Tensor:
        inputs = next(iter(tiny_batches().epoch(0)))
        return there(inputs.features_BTF, inputs.lengths_B)[0].square().mean()

    losses: list[Loss] = [loss]
    return gather(model, importance, losses)


def count(settings: ModelSettings) -> float:
    return float(sum(p.numel() for p in build(settings).parameters()))


def costs(*asked: Any) -> Cost:
    return Cost(count)


def run(model: Recogniser, shrink: Shrink, settings: TrainingSettings | None = None, **changes: Any) -> Iterator[Epoch]:
    course, arguments = tiny_course(model, settings, **changes)
    return fit_and_shrink(model, course, shrink=shrink, **{"calibrate": calibrate, "costs": costs, **arguments})


def final(model: Recogniser, epoch: Epoch) -> Recogniser:
    """As whoever reads the last state builds it."""
    there = restored(model, epoch.state).model
    there.load_state_dict(epoch.state["best_weights"], strict=True)
    return there.eval()


def units(model: Recogniser, *dims: str) -> int:
    return sum(d.size for d in model.dimensions() if d.dim in dims)
