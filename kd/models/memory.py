"""What a causal encoder remembers of a stream, from one block of frames to the next.

Legend: B streams, C channels, T frames of the block, K frames remembered.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]


class Memory:
    """Tensors by name, streams first: read from `before`, written to `after`. A stream begins with zeros."""

    def __init__(self, before: Mapping[str, Tensor]) -> None:
        self.before = before
        self.after: dict[str, Tensor] = {}

    def recall(self, name: str) -> Tensor:
        return self.before[name]

    def keep(self, name: str, tensor: Tensor) -> None:
        self.after[name] = tensor

    def extend(self, name: str, x: Tensor, dim: int) -> Tensor:
        """The block behind the frames remembered along `dim`; as many of the last are remembered in their place."""
        past = self.before[name]
        longer = torch.cat([past, x], dim=dim)
        self.after[name] = longer[(*[slice(None)] * dim, slice(-past.shape[dim], None))]
        return longer
