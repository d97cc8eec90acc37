"""Pruning: importance, then a threshold, then zero (single weights) or remove (whole units)."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from kd.config.propagation import PruneUnits, PruneWeights
from kd.models import Recogniser
from kd.propagation.calibration import CalibrationStatistics
from kd.propagation.choice import dimensions_of, keep_by_scope
from kd.propagation.importance import score_units, weight_scores


def weight_masks(
    model: Recogniser,
    settings: PruneWeights,
    statistics: CalibrationStatistics | None = None,
    *,
    alive: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Masks of the weights that stay, by parameter name: bool, true = alive.

    Only weights of two or more axes are pruned; biases and norms stay whole. With a sparsity, exactly
    round(sparsity * weights) are zeroed, over all tensors (`global`) or in each (`layer`); with a pattern, see
    `n_of_m`. Weights that are dead in `alive`, the masks of an earlier pruning, go first and count among them; none
    comes back.
    """
    alive = alive or {}
    everything = weight_scores(model, settings.importance, statistics)
    scores = {name: s for name, s in everything.items() if s.ndim > 1}
    scores = {name: s.masked_fill(~alive[name], -torch.inf) if name in alive else s for name, s in scores.items()}
    if settings.threshold is not None:
        masks = {name: s >= settings.threshold for name, s in scores.items()}
    elif settings.pattern is not None:
        masks = {name: n_of_m(s, *settings.pattern) for name, s in scores.items()}
    elif settings.scope == "layer":
        masks = {name: _largest(s.flatten(), _sparsity(settings)).view_as(s) for name, s in scores.items()}
    else:
        joined = _largest(torch.cat([s.flatten() for s in scores.values()]), _sparsity(settings))
        parts = torch.split(joined, [s.numel() for s in scores.values()])
        masks = {name: part.view_as(scores[name]) for name, part in zip(scores, parts, strict=True)}
    if not any(bool(mask.any()) for mask in masks.values()):
        raise ValueError(
            f"sparsity {settings.sparsity:g} leaves no weight alive: lower it"
            if settings.threshold is None
            else f"threshold {settings.threshold} leaves no weight alive: lower it, or give a sparsity"
        )
    return {name: mask & alive[name] if name in alive else mask for name, mask in masks.items()}


def n_of_m(scores: Tensor, n: int, m: int) -> Tensor:
    """Mask of the n highest scores in every run of m along the input axis, the second: N:M sparsity.

    A shorter run at the end of the axis keeps n too, or all that it has, as if zeros followed; so tensors with at most
    n inputs, such as depthwise convolutions, stay dense. 2:4 is what sparse tensor cores take (arXiv:2104.08378).
    """
    along_inputs = scores.movedim(1, -1)
    inputs = along_inputs.shape[-1]
    padded = F.pad(along_inputs, (0, -inputs % m), value=-torch.inf)
    runs = padded.reshape(*padded.shape[:-1], -1, m)
    best = runs.argsort(dim=-1, descending=True, stable=True)[..., :n]
    mask = torch.zeros_like(runs, dtype=torch.bool).scatter(-1, best, True)
    return mask.flatten(-2)[..., :inputs].movedim(-1, 1)


def choose_units(
    model: Recogniser, settings: PruneUnits, statistics: CalibrationStatistics | None = None
) -> dict[str, Tensor]:
    """The units that structured pruning keeps, by dimension; each dimension keeps at least its best one.

    With a sparsity, exactly round(sparsity * units) go, of all, of each dim or of each dimension, as the scope says;
    ValueError where they cannot, or the model has no such dimension.
    """
    dimensions = dimensions_of(model, settings.dims)
    scores = score_units(model, dimensions, settings.importance, statistics)
    if settings.threshold is not None:
        return _above(scores, settings.threshold)

    def to_go(names: Sequence[str]) -> int:
        units = sum(len(scores[name]) for name in names)
        count = round(_sparsity(settings) * units)
        return min(count, units - 1) if settings.scope == "layer" else count

    return keep_by_scope(dimensions, scores, settings.scope, to_go)


def _above(scores: Mapping[str, Tensor], threshold: float) -> dict[str, Tensor]:
    if not any(bool((s >= threshold).any()) for s in scores.values()):
        raise ValueError(f"threshold {threshold:g} leaves no unit: lower it, or give a sparsity")
    best = {name: torch.arange(len(s)) == s.argmax() for name, s in scores.items()}
    return {name: ((s >= threshold) | best[name]).nonzero()[:, 0] for name, s in scores.items()}


def _sparsity(settings: PruneWeights | PruneUnits) -> float:
    assert settings.sparsity is not None
    return settings.sparsity


def _largest(scores: Tensor, sparsity: float) -> Tensor:
    """Mask of the scores that stay once the smallest round(sparsity * n) are gone."""
    mask = torch.ones(len(scores), dtype=torch.bool)
    mask[scores.argsort(stable=True)[: round(sparsity * len(scores))]] = False
    return mask
