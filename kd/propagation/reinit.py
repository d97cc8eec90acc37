"""Partly transferred: parts of a model get fresh weights, the rest stays as it came from the source."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from kd.config.propagation import Renew
from kd.models import Recogniser, build
from kd.propagation.select import LAYER_PREFIX, LAYERS, apply

PREFIXES = {"stem": "encoder.stem.", "head": "head."}


def parts_to_renew(model: Recogniser, settings: Renew) -> dict[str, list[int]]:
    """Positions of the layers to be renewed, and `stem` and `head` as [0]; ValueError where the model has none."""
    sizes = {d.name: d.size for d in model.dimensions()}
    parts = {name: [0] for name in ("stem", "head") if getattr(settings, name)}
    if settings.stem and "stem" not in sizes:
        raise ValueError(f"{model.settings.encoder.family} has no stem to renew: remove stem")
    if settings.layers is not None:
        count = sizes.get(LAYERS, 0)
        layers = settings.positions(count)
        if not layers or layers[0] < 0 or layers[-1] >= count:
            raise ValueError(
                f"renew: layers {settings.layers}, but the {model.settings.encoder.family} has {count}, from 0 on: "
                "name fewer, or lower numbers"
            )
        parts[LAYERS] = layers
    return parts


def renewed(model: Recogniser, parts: Mapping[str, Sequence[int]], seed: int) -> tuple[Recogniser, set[str]]:
    """The model with these parts as a new model of its shape and this seed has them; and the names of its new tensors.

    All else, the scaling of features included, is the given model's, which is untouched; so is torch's generator.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh: dict[str, Tensor] = build(model.settings).state_dict()
        result = apply(model, {})
    prefixes = tuple(
        f"{LAYER_PREFIX}{i}." if part == LAYERS else PREFIXES[part] for part, places in parts.items() for i in places
    )
    new = {name: tensor for name, tensor in fresh.items() if name.startswith(prefixes)}
    result.load_state_dict({**result.state_dict(), **new}, strict=True)
    return result, set(new)
