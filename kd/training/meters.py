"""Means of the objective's terms over an epoch, and what each group of utterances weighs in them."""

from collections.abc import Sequence

import torch
from accelerate import Accelerator
from torch import Tensor

from kd.training.objective import Term


class Meters:
    """Mean of each term over an epoch, weighted by what the term is a mean over, on all processes together."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}

    def add(self, terms: Sequence[Term], accelerator: Accelerator) -> None:
        """Every process calls this for each batch, with the same terms in the same order."""
        values = [(float(term.value.detach()) * term.count, term.count) for term in terms]
        sums_K2 = torch.tensor(values, dtype=torch.float64)
        if accelerator.num_processes > 1:
            sums_K2 = accelerator.reduce(sums_K2.to(accelerator.device, torch.float32)).cpu().double()
        for term, sums_2 in zip(terms, sums_K2, strict=True):
            self.sums[term.name] = self.sums.get(term.name, torch.zeros(2, dtype=torch.float64)) + sums_2

    def means(self) -> dict[str, float]:
        return {name: float(total / count.clamp(min=1)) for name, (total, count) in self.sums.items()}


def shares(counts: Sequence[Sequence[int]], accelerator: Accelerator) -> list[list[float]]:
    """Weights by which the terms of groups add up, in the mean over processes (as DDP takes it), to the whole batch's.

    counts: for each group of this process's utterances what each term is a mean over, as `Objective.counts` gives it.
    """
    if accelerator.num_processes == 1 and len(counts) == 1:
        return [[1.0] * len(counts[0])]
    sums_K = torch.tensor(counts, dtype=torch.float64, device="cpu").sum(0)
    if accelerator.num_processes > 1:
        sums_K = accelerator.reduce(sums_K.to(accelerator.device, torch.float32), reduction="mean").cpu()
    return [[float(count / whole) if count else 0.0 for count, whole in zip(g, sums_K, strict=True)] for g in counts]
