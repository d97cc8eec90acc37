"""What models of given settings cost, for budgets: counted, exported, or timed on this machine.

Settings alone decide: a model of these settings with any weights is built, so that none has to be pruned to know.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import scipy  # its parts are imported where they are first used
import torch

from kd.config.frontend import FrontEndSettings
from kd.config.models import ModelSettings
from kd.config.propagation import Budget, Dim
from kd.models import Recogniser, build
from kd.models.macs import count_params, macs_per_audio_second
from kd.propagation.budget import Cost
from kd.propagation.select import resized
from tasks.checkpoint import Checkpoint
from tasks.data.prepared import PreparedData
from tasks.onnx.counts import counted

SHARES = (1.0, 0.75, 0.5, 0.25, 0.1)
"""Of each dim's units: the sizes that are timed for a cost table, all dims together and each alone."""
ToCost = Callable[[ModelSettings], float]


def cost_for(
    frontend: FrontEndSettings, data: PreparedData, settings: ModelSettings, dims: tuple[Dim, ...], budget: Budget
) -> Cost:
    """The cost of any model for one budget; time is estimated by a table, and measured in the end."""

    @lru_cache
    def measured(asked: ModelSettings) -> float:
        model = _fresh(asked)
        if (count := counted(model, budget.measure, frontend)) is not None:
            return count
        from tasks.onnx.cost import cost_of  # which loads onnx

        return cost_of(Checkpoint(model, frontend, data.vocabulary, "student", "none", "none"), budget.measure, data)

    if budget.measure != "latency_ms":
        return Cost(measured)
    return Cost(fitted(measured, sampled(settings, dims), frontend), measured)


def fitted(measured: ToCost, samples: list[ModelSettings], frontend: FrontEndSettings) -> ToCost:
    """A cost table: time as a sum of a start, the multiply-accumulates, the parameters and the layers.

    Least squares over the samples with no negative part, relative to what was measured: more units never take less.
    """
    times = np.array([measured(s) for s in samples])
    parts = np.array([_parts(s, frontend) for s in samples])
    scale = parts.max(0)
    weights, _ = scipy.optimize.nnls(parts / scale / times[:, None], np.ones(len(times)))

    @lru_cache
    def estimate(settings: ModelSettings) -> float:
        return float(np.dot(weights / scale, _parts(settings, frontend)))

    return estimate


def sampled(settings: ModelSettings, dims: tuple[Dim, ...]) -> list[ModelSettings]:
    """The model, and smaller ones: all dims together, and each alone."""
    smaller = [shrunk(settings, dims, share) for share in SHARES]
    return list(dict.fromkeys([*smaller, *(shrunk(settings, (dim,), 0.5) for dim in dims)]))


def shrunk(settings: ModelSettings, dims: tuple[Dim, ...], share: float) -> ModelSettings:
    """With this share of the units of these dims, at least one of each."""
    dimensions = _fresh(settings).dimensions()
    choice = {d.name: torch.arange(max(1, round(share * d.size))) for d in dimensions if d.dim in dims}
    return resized(settings, dimensions, choice)


def _parts(settings: ModelSettings, frontend: FrontEndSettings) -> tuple[float, float, float, float]:
    model = _fresh(settings)
    macs, layers = macs_per_audio_second(model, settings, frontend), getattr(settings.encoder, "layers", 1)
    return 1.0, macs, float(count_params(model)[0]), float(layers)


def _fresh(settings: ModelSettings) -> Recogniser:
    """Of all its tensors none is equal to another, as biases at 0 would be: a file holds equal ones only once."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = build(settings).eval()
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(0.01 * torch.rand_like(tensor))
    return model
