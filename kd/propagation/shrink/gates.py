"""Hard-concrete gates of units, and the constraint that closes as many of them as are to go.

A gate scales its unit's output. Since a unit acts only through the axes that read it, the gate multiplies
those weights, and every family is gated by its declared dimensions alone. The weights are multiplied in place while
they act, so that recurrent kernels see them too; gradients of the product are carried over to both factors.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from kd.config.shrink import Gates
from kd.models import Dimension, Recogniser
from kd.propagation.choice import dimensions_of
from kd.propagation.select import apply
from kd.propagation.shrink.hard_concrete import OPEN, REACH, at_rest, open_probability, sampled
from kd.propagation.sizes import Sizes

NO_MOMENTUM = (0.0, 0.99)
"""Of the gates' optimiser: with momentum they run past the constraint."""

ByDimension = Mapping[str, Tensor]


def gated(weights: Mapping[str, Tensor], dimensions: Sequence[Dimension], gates: ByDimension) -> dict[str, Tensor]:
    """Weights of which those that read a gated unit are multiplied by its gate."""
    products = dict(weights)
    for dimension in dimensions:
        for axis in dimension.axes:
            if axis.reads:
                entries = gates[dimension.name].repeat_interleave(axis.unit).repeat(axis.blocks)
                ndim = products[axis.tensor].ndim
                products[axis.tensor] = products[axis.tensor] * entries.reshape(
                    [-1 if i == axis.dim else 1 for i in range(ndim)]
                )
    return products


def folded(model: Recogniser, dimensions: Sequence[Dimension], gates: ByDimension) -> Recogniser:
    """A copy of the model whose weights are multiplied by the gates."""
    copy = apply(model, {})
    state = copy.state_dict()
    reading = {axis.tensor for dimension in dimensions for axis in dimension.axes if axis.reads}
    products = gated({name: state[name] for name in reading}, dimensions, gates)
    copy.load_state_dict({**state, **products})
    return copy


class GatePenalty:
    """Gates of a model's units, learnt while it is trained in `steps` steps; a `WeightHook`."""

    def __init__(self, model: Recogniser, settings: Gates, steps: int, seed: int) -> None:
        self.settings, self.seed, self.step = settings, seed, 0
        self.rising = max(1, round(settings.ramp_share * steps))
        self.dimensions = dimensions_of(model, settings.dims)
        self.sizes = Sizes.of(model, self.dimensions)
        reading = {axis.tensor for dimension in self.dimensions for axis in dimension.axes if axis.reads}
        own = chain(model.named_parameters(), model.named_buffers())  # of buffers gates alone act, and nothing learns
        self.reading = {name: p for name, p in own if name in reading}
        self.log_alpha_N = nn.Parameter(torch.full((self.sizes.units,), OPEN))
        self.multipliers = nn.Parameter(torch.zeros(2, dtype=torch.float64))
        self.descent = torch.optim.Adam([self.log_alpha_N], lr=settings.lr, betas=NO_MOMENTUM)
        self.ascent = torch.optim.Adam([self.multipliers], lr=settings.lr, maximize=True)
        self.products: tuple[dict[str, Tensor], dict[str, Tensor]] = ({}, {})

    @contextmanager
    def acting(self, training: bool) -> Iterator[None]:
        """Within, weights are multiplied by gates: drawn anew for training, at rest otherwise."""
        gates_N = sampled(self.log_alpha_N, self._uniform()) if training else at_rest(self.log_alpha_N.detach())
        device = next(iter(self.reading.values())).device
        gates = self.by_dimension(gates_N.to(device))
        trained = {name: p.detach().clone().requires_grad_(training) for name, p in self.reading.items()}
        products = gated(trained, self.dimensions, gates)
        self._write(products)
        try:
            yield
        finally:
            self._write(trained)
        if training:
            self.products = trained, products

    def add_gradients(self) -> None:
        """Gradients of the products to weights and gates; then a step of the gates and of the multipliers."""
        trained, products = self.products
        reached = [name for name, p in self.reading.items() if p.grad is not None]
        self.descent.zero_grad()
        self.ascent.zero_grad()
        ends = [*(products[name] for name in reached), self.penalty()]
        torch.autograd.backward(ends, [*(self.reading[name].grad for name in reached), None])
        for name in reached:
            self.reading[name].grad = trained[name].grad
        self.products = ({}, {})
        self.descent.step()
        self.ascent.step()
        with torch.no_grad():
            self.log_alpha_N.clamp_(-REACH, REACH)
        self.step += 1

    def penalty(self) -> Tensor:
        """λ1 (s - s*) + λ2 (s - s*)², s the expected sparsity and s* its target (as DPHuBERT, arXiv:2305.17651)."""
        gap = self.expected_sparsity() - self.target_sparsity
        return self.multipliers[0] * gap + self.multipliers[1] * gap.square()

    def expected_sparsity(self) -> Tensor:
        """0-dim, differentiable in the gates."""
        return self.sizes.sparsity(self.by_dimension(open_probability(self.log_alpha_N)), self.settings.of)

    @property
    def target_sparsity(self) -> float:
        """Rises in a straight line from 0."""
        return self.settings.sparsity * min(1.0, (self.step + 1) / self.rising)

    def by_dimension(self, values_N: Tensor) -> dict[str, Tensor]:
        """(N,) values of all gates as views by dimension, (units,) each, in the order of the gates."""
        parts = torch.split(values_N, [dimension.size for dimension in self.dimensions])
        return {dimension.name: part for dimension, part in zip(self.dimensions, parts, strict=True)}

    def metrics(self) -> dict[str, float]:
        """Expected and target sparsity, the penalty and its two multipliers, as they are after the last step."""
        return {
            "expected_sparsity": float(self.expected_sparsity().detach()),
            "target_sparsity": self.target_sparsity,
            "penalty": float(self.penalty().detach()),
            "multiplier": float(self.multipliers[0].detach()),
            "square_multiplier": float(self.multipliers[1].detach()),
        }

    def state_dict(self) -> dict[str, Any]:
        """Gates (N,), multipliers (2,), their optimisers and the step, from which training goes on.

        Gates and multipliers are copies; the optimisers' tensors are theirs, and later steps change them.
        """
        return {
            "log_alpha": self.log_alpha_N.detach().clone(),
            "multipliers": self.multipliers.detach().clone(),
            "descent": self.descent.state_dict(),
            "ascent": self.ascent.state_dict(),
            "step": self.step,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave of gates of the same dimensions; the tensors here stay the same ones."""
        with torch.no_grad():
            self.log_alpha_N.copy_(state["log_alpha"])
            self.multipliers.copy_(state["multipliers"])
        self.descent.load_state_dict(state["descent"])
        self.ascent.load_state_dict(state["ascent"])
        self.step = state["step"]

    def _uniform(self) -> Tensor:
        """Random numbers in [0, 1), equal on every process, whose gates must agree."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.step)
        return torch.rand(len(self.log_alpha_N), generator=generator)

    def _write(self, weights: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self.reading.items():
                parameter.copy_(weights[name])
