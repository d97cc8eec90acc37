"""Coupled dimensions: which axes of which parameters belong to one unit of a model.

A unit (a channel, a recurrent hidden unit with its gates, an attention head, a layer) spans
several tensors. Removing it means removing its slice from each of them, together. Every model
declares its dimensions; slicing and pruning only choose indices in them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kd.config.propagation import Dim

MIXES = "LayerNorm divides by the number of features: taking one away rescales the others"
"""Why a dead unit of a width that a layer norm spans cannot be removed without a trace."""


@dataclass(frozen=True)
class Axis:
    """Where a dimension lies in one tensor.

    Along `dim`, the tensor holds `blocks` runs (the gates of a recurrent cell, the two directions
    of a layer, the halves of a gated unit), each with `unit` consecutive entries per index (a head's
    features, a channel's pixels). reads: the tensor takes the unit's output in, rather than forming it.
    """

    tensor: str
    dim: int
    unit: int = 1
    blocks: int = 1
    reads: bool = False

    def positions(self, kept: Tensor, size: int) -> Tensor:
        """Entries along `dim` that belong to the kept units, in order. kept: (K,) int64 below `size`."""
        start_K1 = kept[:, None] * self.unit + torch.arange(self.unit)
        block_O11 = torch.arange(self.blocks)[:, None, None] * (size * self.unit)
        return (block_O11 + start_K1).reshape(-1)


@dataclass(frozen=True)
class Dimension:
    """One dimension of a model.

    name: unique path, such as `layers.0.hidden`; dim: what its units are, as settings call it; field: the settings'
    field that holds its size, indexed by `layer` where that field lists one width per layer. caveat: why a dead unit
    cannot be removed without a trace (empty where it can).
    """

    name: str
    dim: Dim
    size: int
    field: str
    layer: int | None = None
    axes: tuple[Axis, ...] = ()
    caveat: str = ""

    def prefixed(self, prefix: str) -> "Dimension":
        """The same dimension of a model that holds this one under `prefix`."""
        return replace(self, axes=tuple(replace(a, tensor=prefix + a.tensor) for a in self.axes))


def writes(*tensors: str, unit: int = 1, blocks: int = 1) -> tuple[Axis, ...]:
    """Axis 0 of tensors that form the unit: weight rows, biases, norms."""
    return tuple(Axis(t, 0, unit, blocks) for t in tensors)


def reads(tensor: str, dim: int = 1, unit: int = 1, blocks: int = 1) -> Axis:
    """The axis of a tensor that takes the unit in."""
    return Axis(tensor, dim, unit, blocks, reads=True)


def select(tensor: Tensor, axes: Sequence[tuple[Axis, Tensor, int]]) -> Tensor:
    """A copy of `tensor` with the kept entries along each axis; axes: (axis, kept indices, size before)."""
    for axis, kept, size in axes:
        expected = size * axis.unit * axis.blocks
        if tensor.shape[axis.dim] != expected:
            raise ValueError(
                f"{axis.tensor} has {tensor.shape[axis.dim]} entries along axis {axis.dim}, "
                f"its model declares {expected}: the declaration of dimensions is wrong"
            )
        tensor = tensor.index_select(axis.dim, axis.positions(kept, size).to(tensor.device))
    return tensor.clone()
