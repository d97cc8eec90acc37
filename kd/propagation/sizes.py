"""How large a model is, or is expected to be, while only some of its units are there."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kd.models import Dimension, Recogniser


@dataclass(frozen=True)
class Sizes:
    """A model's parameters as a sum of products of its dimensions' sizes.

    terms: for each set of dimensions (twice where a tensor has one on both axes), parameters for each
    combination of their units.
    """

    terms: Mapping[tuple[str, ...], int]
    total: int
    units: int

    @classmethod
    def of(cls, model: Recogniser, dimensions: Sequence[Dimension]) -> "Sizes":
        """In these dimensions; whatever else the model has stays as it is."""
        by_tensor: dict[str, list[str]] = defaultdict(list)
        sizes = {dimension.name: dimension.size for dimension in dimensions}
        for dimension in dimensions:
            for axis in dimension.axes:
                by_tensor[axis.tensor].append(dimension.name)
        terms: Counter[tuple[str, ...]] = Counter()
        for name, parameter in model.named_parameters():
            names = tuple(sorted(by_tensor[name]))
            combinations = 1
            for dimension_name in names:
                combinations *= sizes[dimension_name]
            terms[names] += parameter.numel() // combinations
        return cls(dict(terms), sum(p.numel() for p in model.parameters()), sum(sizes.values()))

    def params(self, there: Mapping[str, Tensor]) -> Tensor:
        """Expected parameters, where each unit of a dimension is there with its own probability, independently.

        0-dim, differentiable. Of probabilities that are all 0 or 1 it is the exact number.
        """
        count = torch.zeros((), dtype=torch.float64)
        for names, each in self.terms.items():
            product = torch.tensor(float(each), dtype=torch.float64)
            for name, times in Counter(names).items():
                product = product * _expected_power(there[name].double(), times)
            count = count + product
        return count

    def sparsity(self, there: Mapping[str, Tensor], of: str) -> Tensor:
        """The expected share of parameters, or of units, that is not there."""
        if of == "params":
            return 1 - self.params(there) / self.total
        return 1 - torch.stack([units.double().sum() for units in there.values()]).sum() / self.units


def _expected_power(there: Tensor, times: int) -> Tensor:
    """Of the number of units: its mean, or the mean of its square, which has a variance."""
    mean = there.sum()
    if times == 1:
        return mean
    assert times == 2, "a tensor has a dimension on one axis or on two"
    return mean.square() + (there * (1 - there)).sum()
