"""What several operators in a row left of their source: in the source's own names and indices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kd.models import Dimension
from kd.propagation.select import LAYERS

NEW = "new."
"""Begins the names under which `renew` says in `kept` what it made new: `new.layers`, `new.stem`, `new.head`."""


@dataclass(frozen=True)
class KeptUnits:
    """kept: indices of each of the source's dimensions that are left, in the order that they now have.

    renewed: `stem`, `head` and layers of the source (`layers.2`) that kept their shape, but no weight.
    """

    kept: Mapping[str, list[int]]
    renewed: frozenset[str]


def compose(dimensions: Sequence[Dimension], steps: Sequence[Mapping[str, Sequence[int]]]) -> KeptUnits:
    """The steps of `Propagated.kept`, composed; each names dimensions as the model that it met has them.

    dimensions: the source's, before the first step. Of a removed layer nothing is left. Raises ValueError where a
    step names what the source does not have.
    """
    kept = {d.name: list(range(d.size)) for d in dimensions}
    renewed: set[str] = set()
    for step in steps:
        layers = list(kept.get(LAYERS, ()))
        for name, indices in step.items():
            if name.startswith(NEW):
                what = name.removeprefix(NEW)
                renewed |= {f"{LAYERS}.{layers[i]}" for i in indices} if what == LAYERS else {what}
                continue
            source = _of_source(name, layers)
            if source not in kept or any(i >= len(kept[source]) for i in indices):
                raise ValueError(f"'{name}' keeps {list(indices)}, which the source has not: is it another model?")
            kept[source] = [kept[source][i] for i in indices]
        gone = [f"{LAYERS}.{layer}" for layer in layers if layer not in kept[LAYERS]]
        renewed -= set(gone)
        kept |= {name: [] for name in kept if name.startswith(tuple(f"{layer}." for layer in gone))}
    return KeptUnits(kept, frozenset(renewed))


def _of_source(name: str, layers: Sequence[int]) -> str:
    """A dimension's name in the source, empty where it has none; layers: those of the source that there are still."""
    if not name.startswith(f"{LAYERS}."):
        return name
    _, place, rest = name.split(".", 2)
    return f"{LAYERS}.{layers[int(place)]}.{rest}" if int(place) < len(layers) else ""
