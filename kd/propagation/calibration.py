"""Statistics of every weight on calibration batches, for the importances that are driven by data.

Each entry of `CALIBRATION_STATISTICS` gives tensors by parameter name that broadcast to the parameter's shape. The
model's weights, gradients and mode stay as they were.
"""

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from kd.config.propagation import DataDriven, Movement
from kd.models import Recogniser

CalibrationStatistics = Mapping[str, Tensor]
Loss = Callable[[Recogniser], Tensor]
"""The loss of a model on one calibration batch."""

MAX_GRAD_NORM = 5.0


def gather(model: Recogniser, importance: DataDriven, losses: Iterable[Loss]) -> dict[str, Tensor]:
    """What an importance needs to know; raises ValueError where there is no calibration batch."""
    if isinstance(importance, Movement):
        return movement(model, losses, importance.lr)
    return CALIBRATION_STATISTICS[importance.by](model, losses)


def mean_gradients(model: Recogniser, losses: Iterable[Loss]) -> dict[str, Tensor]:
    """Gradient of each parameter, averaged over the batches: that of all of them together."""
    return _mean_over_batches(model, losses, lambda gradient: gradient)


def mean_squared_gradients(model: Recogniser, losses: Iterable[Loss]) -> dict[str, Tensor]:
    """Square of each batch's gradient of each parameter, averaged over the batches: batches do not cancel out."""
    return _mean_over_batches(model, losses, torch.square)


def movement(model: Recogniser, losses: Iterable[Loss], lr: float) -> dict[str, Tensor]:
    """-Σ w ∂L/∂w over the steps of gradient descent: positive where a weight moves away from zero.

    Sanh et al. 2020, arXiv:2005.07683, eq. 4; there the scores grow beside the fine-tuning, here during a few
    steps on a copy, their gradients clipped to a norm of 5.
    """
    moving = deepcopy(model)
    parameters = dict(moving.named_parameters())
    totals = {name: torch.zeros_like(p) for name, p in parameters.items()}
    count = 0
    for loss in losses:
        gradients = _gradients(moving, loss)
        norm = torch.stack([g.norm() for g in gradients.values()]).norm()
        scale = (MAX_GRAD_NORM / norm.clamp(min=MAX_GRAD_NORM)).item()
        with torch.no_grad():
            for name, parameter in parameters.items():
                totals[name] -= parameter * gradients[name] * scale
                parameter.sub_(gradients[name], alpha=lr * scale)
        count += 1
    _require_batches(count)
    return {name: total.cpu() for name, total in totals.items()}


def input_sizes(model: Recogniser, losses: Iterable[Loss]) -> dict[str, Tensor]:
    """Root mean square of what each weight is multiplied by, over batches and frames.

    Recurrent weights meet the layer's own output. What is multiplied by a constant (biases) or by something
    normalised (norms) gets 1. Padding counts as far as it reaches a layer, alike for all units of it.
    """
    squares: dict[str, Tensor] = {}
    counts: dict[str, int] = {}

    def see(name: str, x: Tensor, axis: int) -> None:
        flat = x.detach().movedim(axis, -1).flatten(0, -2).float()
        squares[name] = squares.get(name, torch.zeros(flat.shape[1])) + flat.square().sum(0).cpu()
        counts[name] = counts.get(name, 0) + len(flat)

    handles = [handle for name, module in model.named_modules() for handle in _observe(name, module, see)]
    batches = 0
    try:
        with torch.no_grad():
            for loss in losses:
                loss(model)
                batches += 1
    finally:
        for handle in handles:
            handle.remove()
    _require_batches(batches)
    sizes = {name: (square / counts[name]).sqrt() for name, square in squares.items()}
    return {name: _fitted(sizes[name], p) if name in sizes else torch.ones(1) for name, p in model.named_parameters()}


CALIBRATION_STATISTICS: dict[str, Callable[[Recogniser, Iterable[Loss]], dict[str, Tensor]]] = {
    "gradient": mean_gradients,
    "taylor": mean_gradients,
    "fisher": mean_squared_gradients,
    "activation": input_sizes,
}


def _observe(name: str, module: nn.Module, see: Callable[[str, Tensor, int], None]) -> list[RemovableHandle]:
    """Hooks that tell what a module's weights are multiplied by."""
    if isinstance(module, nn.Linear):
        return [module.register_forward_pre_hook(lambda _, inputs: see(f"{name}.weight", inputs[0], -1))]
    if isinstance(module, nn.Conv1d | nn.Conv2d):
        return [module.register_forward_pre_hook(lambda _, inputs: see(f"{name}.weight", inputs[0], 1))]
    if isinstance(module, nn.RNNBase):
        return [
            module.register_forward_pre_hook(lambda _, inputs: see(f"{name}.weight_ih_l0", inputs[0], -1)),
            module.register_forward_hook(lambda _, __, outputs: see(f"{name}.weight_hh_l0", outputs[0], -1)),
        ]
    return []


def _fitted(sizes: Tensor, weight: Tensor) -> Tensor:
    """Along the weight's input axis, its second; of a convolution in groups each has inputs of its own."""
    groups = len(sizes) // weight.shape[1]
    rows = 1 if groups == 1 else weight.shape[0] // groups
    return sizes.view(groups, -1).repeat_interleave(rows, dim=0).reshape(groups * rows, -1, *[1] * (weight.ndim - 2))


def _mean_over_batches(model: Recogniser, losses: Iterable[Loss], of: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    totals = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    count = 0
    for loss in losses:
        for name, gradient in _gradients(model, loss).items():
            totals[name] += of(gradient)
        count += 1
    _require_batches(count)
    return {name: (total / count).cpu() for name, total in totals.items()}


def _gradients(model: Recogniser, loss: Loss) -> dict[str, Tensor]:
    parameters = dict(model.named_parameters())
    return dict(zip(parameters, torch.autograd.grad(loss(model), list(parameters.values())), strict=True))


def _require_batches(count: int) -> None:
    if count == 0:
        raise ValueError("no calibration batch: importance needs at least one. Is the training split empty?")
