"""The one mechanism behind slicing and structured pruning: keep chosen indices of a model's dimensions.

Nothing here decides what to keep. A choice maps names of dimensions to the indices kept; what is
not named is kept whole. The result is a new, smaller model with its own settings; the input is untouched.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor

from kd.config.models import ModelSettings
from kd.config.propagation import Dim
from kd.models import Axis, Dimension, Recogniser, build
from kd.models.dimensions import select

LAYERS: Final[Dim] = "layers"
"""The dimension whose units are layers; its settings' field and its module in the encoder have the same name."""
LAYER_PREFIX = f"encoder.{LAYERS}."

Choice = Mapping[str, Tensor]


def apply(model: Recogniser, choice: Choice) -> Recogniser:
    """The smaller model of a choice, in the same mode (training or evaluation) and on the same device.

    Raises ValueError for an unknown dimension, an empty choice, or an index out of range or doubled.
    """
    dimensions = model.dimensions()
    _check(choice, dimensions)
    smaller = build(resized(model.settings, dimensions, choice))
    smaller.load_state_dict(apply_to_tensors(model.state_dict(), dimensions, choice), strict=True)
    return smaller.to(model.mean_F.device).train(model.training)


def apply_to_tensors(
    tensors: Mapping[str, Tensor], dimensions: Sequence[Dimension], choice: Choice
) -> dict[str, Tensor]:
    """A choice of units on any tensors named like the model's state: its weights, masks or importances."""
    axes: dict[str, list[tuple[Axis, Tensor, int]]] = defaultdict(list)
    for dimension in dimensions:
        if dimension.name in choice:
            for axis in dimension.axes:
                axes[axis.tensor].append((axis, choice[dimension.name], dimension.size))
    smaller = {name: select(tensor, axes[name]) for name, tensor in tensors.items()}
    if "layers" not in choice:
        return smaller
    position = {int(old): new for new, old in enumerate(choice["layers"])}
    return {_renumbered(n, position): t for n, t in smaller.items() if _layer_of(n) in (None, *position)}


def resized(settings: ModelSettings, dimensions: Sequence[Dimension], choice: Choice) -> ModelSettings:
    """The settings of the smaller model."""
    encoder: dict[str, Any] = settings.encoder.model_dump()
    for dimension in dimensions:
        if dimension.name not in choice or dimension.dim == "layers":
            continue
        size = len(choice[dimension.name])
        if dimension.layer is None:
            encoder[dimension.field] = size
        else:
            widths = list(encoder[dimension.field])
            widths[dimension.layer] = size
            encoder[dimension.field] = tuple(widths)
    if "layers" in choice:
        encoder["layers"] = len(choice["layers"])
        for field in getattr(settings.encoder, "per_layer", ()):
            encoder[field] = tuple(encoder[field][int(i)] for i in choice["layers"])
    return ModelSettings.model_validate({**settings.model_dump(), "encoder": encoder})


def _check(choice: Choice, dimensions: Sequence[Dimension]) -> None:
    sizes = {d.name: d.size for d in dimensions}
    for name, kept in choice.items():
        if name not in sizes:
            raise ValueError(f"no dimension '{name}'; this model has {', '.join(sizes)}: name one of them")
        if len(kept) == 0:
            raise ValueError(f"nothing of '{name}' would be kept: keep at least one of its {sizes[name]}")
        if kept.min() < 0 or kept.max() >= sizes[name]:
            raise ValueError(
                f"indices of '{name}' run from 0 to {sizes[name] - 1}, found {kept.tolist()}: remove those outside"
            )
        if len(torch.unique(kept)) != len(kept):
            raise ValueError(f"indices of '{name}' occur twice: {kept.tolist()}. Give each once")


def _layer_of(name: str) -> int | None:
    if not name.startswith(LAYER_PREFIX):
        return None
    return int(name.removeprefix(LAYER_PREFIX).split(".", 1)[0])


def _renumbered(name: str, position: Mapping[int, int]) -> str:
    layer = _layer_of(name)
    if layer is None:
        return name
    rest = name.removeprefix(f"{LAYER_PREFIX}{layer}.")
    return f"{LAYER_PREFIX}{position[layer]}.{rest}"
