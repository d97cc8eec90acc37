"""What teachers believe was said: none, one or several transcripts an utterance, each with a weight.

Legend: B utterances, N hypotheses of the utterance that has most, L padded targets.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

# (unit indices, weight) of each hypothesis of one utterance; empty where there is none.
Row = Sequence[tuple[Sequence[int], float]]


@dataclass(frozen=True, eq=False)
class Hypotheses:
    """Hypotheses of the utterances of one batch, in its order.

    weights_BN: of each utterance they add up to 1, or are all 0 where it has no hypothesis; 0 also marks padding.
    An empty transcript (length 0) with a weight is a hypothesis: nothing was said.
    """

    targets_BNL: Tensor
    lengths_BN: Tensor
    weights_BN: Tensor

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Self:
        """From lists; weights are normalised for each utterance. Raises ValueError for a weight that is not above 0."""
        size = max((len(row) for row in rows), default=0)
        longest = max((len(units) for row in rows for units, _ in row), default=0)
        targets_BNL = torch.zeros(len(rows), max(size, 1), max(longest, 1), dtype=torch.int64)
        lengths_BN = torch.zeros(targets_BNL.shape[:2], dtype=torch.int64)
        weights_BN = torch.zeros(targets_BNL.shape[:2])
        for b, row in enumerate(rows):
            total = sum(weight for _, weight in row)
            for n, (units, weight) in enumerate(row):
                if not weight > 0:
                    raise ValueError(f"hypothesis {n} of row {b} has weight {weight}: give it one above 0, or drop it")
                targets_BNL[b, n, : len(units)] = torch.as_tensor(units, dtype=torch.int64)
                lengths_BN[b, n] = len(units)
                weights_BN[b, n] = weight / total
        return cls(targets_BNL, lengths_BN, weights_BN)

    def to(self, device: torch.device | str) -> Self:
        return type(self)(self.targets_BNL.to(device), self.lengths_BN.to(device), self.weights_BN.to(device))

    def twice(self) -> Self:
        """Hypotheses of a batch that holds each utterance twice: all, and then all again."""
        return type(self)(*(torch.cat([x, x]) for x in (self.targets_BNL, self.lengths_BN, self.weights_BN)))

    def rows(self, which: slice) -> Self:
        """Hypotheses of some of the utterances."""
        return type(self)(self.targets_BNL[which], self.lengths_BN[which], self.weights_BN[which])

    def __len__(self) -> int:
        return len(self.weights_BN)
