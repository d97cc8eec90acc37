"""What propagation kept of each model's source, and what it cost: before, right after, and after training."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from safetensors.torch import load_file
from torch import Tensor

from kd.config.models import ModelSettings
from kd.models import Dimension, Recogniser, build
from kd.propagation.compose import KeptUnits, compose
from tasks.reporting.results import Model
from tasks.reporting.strips import Strip, strips_picture
from tasks.runner.paths import Paths

BEFORE = ("size_bytes", "macs_per_audio_second", "latency_ms_p50", "valid_error")


@dataclass(frozen=True)
class Kept:
    """One propagated model beside its source.

    before: the source's costs and validation error, as far as this page's models tell them; units: a picture of the
    units that were kept, empty where no unit was removed; weights: of the single weights that are left, empty where
    none was pruned.
    """

    model: Model
    source: str
    before: Mapping[str, float]
    units: str
    weights: str

    @property
    def propagated_error(self) -> float | None:
        """Validation error before any training; of a student that shrank on its way, right after its last cut.

        None where nobody measured it.
        """
        curve = self.model.curve
        if "phase" not in curve:
            return self.model.facts.get("initial_valid_error")
        at_cuts = curve.get("valid_error_at_cut", pd.Series(dtype=float)).dropna()
        return None if at_cuts.empty else float(at_cuts.iloc[-1])

    def shrunk(self, cost: str) -> float:
        """The source's cost by that of the model."""
        return self.before[cost] / float(self.model.row[cost])


def read_kept(paths: Paths, models: Sequence[Model], sources: Mapping[str, str]) -> list[Kept]:
    """One for each of these models that has a source; sources: whose weights a student began with."""
    rows = {model.name: model.row for model in models}
    found = []
    for place, model in enumerate(models):
        if model.name in sources:
            source = _source(paths, sources[model.name])
            known = rows.get(sources[model.name], {})
            before = {
                "params": sum(p.numel() for p in source.parameters()),
                **{key: known[key] for key in BEFORE if key in known},
            }
            pictures = _pictures(paths, model, source.dimensions(), place)
            found.append(Kept(model, sources[model.name], before, *pictures))
    return found


def unit_strips(dimensions: Sequence[Dimension], left: KeptUnits) -> Iterator[Strip]:
    """Which units of each of the source's dimensions are left."""
    for dimension in dimensions:
        kept = set(left.kept[dimension.name])
        row, column = _place(dimension.name)
        owner = dimension.name.rsplit(".", 1)[0] if row else dimension.name
        note = f"{len(kept)} of {dimension.size}" if kept else "none"
        if new := owner in left.renewed:
            note = "new"
        yield Strip(row, column, [float(i in kept) for i in range(dimension.size)], note, new)
    if "head" in left.renewed:
        yield Strip("", "head", (), "new", new=True)


def weight_strips(masks: Mapping[str, Tensor]) -> Iterator[Strip]:
    """Of each row of each pruned tensor the share of its weights that is left."""
    for name, mask in sorted(masks.items(), key=lambda item: _order(item[0])):
        row, column = _place(name.removeprefix("encoder."))
        alive = mask.flatten(1).float().mean(1)
        column = column.removesuffix(" l0").removesuffix(" weight").replace(" weight", "")
        yield Strip(row, column, alive.tolist(), f"{100 * float(alive.mean()):.0f} %")


def _pictures(paths: Paths, model: Model, dimensions: Sequence[Dimension], place: int) -> tuple[str, str]:
    shrunk = paths.model(model.name) / "kept.json"
    file = shrunk if shrunk.is_file() else paths.initial(model.name) / "kept.json"
    steps = json.loads(file.read_text(encoding="utf-8"))
    units = weights = ""
    if any(steps):
        units = strips_picture(list(unit_strips(dimensions, compose(dimensions, steps))), place, f"units-{place}")
    file = paths.model(model.name) / "masks.safetensors"
    if file.is_file():
        weights = strips_picture(list(weight_strips(load_file(file))), place, f"weights-{place}")
    return units, weights


def _source(paths: Paths, name: str) -> Recogniser:
    """A model's shape, without its weights."""
    config = json.loads((paths.model(name) / "config.json").read_text(encoding="utf-8"))
    with torch.device("meta"):
        return build(ModelSettings.model_validate(config["model"]))


def _place(name: str) -> tuple[str, str]:
    """Row and column of something named `layers.2.hidden`; no row for what belongs to no layer."""
    if not name.startswith("layers."):
        return "", name.replace(".", " ")
    _, layer, rest = name.split(".", 2)
    return f"layer {layer}", rest.replace("_", " ").replace(".", " ")


def _order(name: str) -> tuple[int, str]:
    """Layers by their number, what belongs to none before them."""
    plain = name.removeprefix("encoder.")
    return (int(plain.split(".")[1]) + 1, "") if plain.startswith("layers.") else (0, plain)
