"""Batch normalisation over valid frames.

Legend: B utterances, T padded frames, C channels, P = B * T frames, valid or not.
"""

from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.autograd.function import once_differentiable
from torch.distributed.nn.functional import all_reduce

BATCH_NORM_TENSORS = ("weight", "bias", "running_mean", "running_var")


class FrameBatchNorm(nn.BatchNorm1d):
    """Batch normalisation whose statistics come from valid frames only, so padding, which is finite, moves nothing.

    Several processes take those of their whole batch together, as torch's SyncBatchNorm does on GPUs, and so do
    what one process would. Statistics are float32 under mixed precision too.
    """

    def forward(self, x_BTC: Tensor, mask_BT: Tensor) -> Tensor:  # type: ignore[override]
        """mask_BT: true or 1 on valid frames. Raises ValueError for a batch of one frame, which has no variance."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        if not self.training:
            scale_C = self.weight * torch.rsqrt(self.running_var + self.eps)
            return x_BTC * scale_C + (self.bias - self.running_mean * scale_C)
        shared = distributed.is_initialized() and distributed.get_world_size() > 1
        normalise = _shared if shared else _Normalise.apply
        with torch.autocast(x_BTC.device.type, enabled=False):
            exact = torch.promote_types(x_BTC.dtype, torch.float32)
            x_PC, valid_P = x_BTC.flatten(0, 1).to(exact), mask_BT.flatten().to(exact)
            normalised_PC, mean_C, variance_C, count = normalise(x_PC, valid_P, self.weight, self.bias, self.eps)
        if float(count) < 2:
            raise ValueError("a batch has to have two valid frames for a variance, found one: make batches longer")
        with torch.no_grad():
            self.running_mean.lerp_(mean_C, self.momentum)
            self.running_var.lerp_(variance_C * (count / (count - 1)), self.momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked += 1
        result_BTC: Tensor = normalised_PC.to(x_BTC.dtype).view_as(x_BTC)
        return result_BTC


class _Normalise(torch.autograd.Function):
    """What torch's batch norm gives for the valid frames, without taking them out of the batch and putting them back.

    Gives also mean, biased variance, and the number of valid frames, none of which are differentiable.
    """

    @staticmethod
    def forward(
        ctx: Any, x_PC: Tensor, valid_P: Tensor, weight_C: Tensor, bias_C: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        count = valid_P.sum()
        mean_C = (valid_P @ x_PC) / count
        standard_PC = x_PC - mean_C
        variance_C = (valid_P @ standard_PC.square()) / count
        rate_C = torch.rsqrt(variance_C + eps)
        standard_PC *= rate_C
        ctx.save_for_backward(standard_PC, valid_P, weight_C * rate_C, count)
        ctx.mark_non_differentiable(mean_C, variance_C, count)
        return torch.addcmul(bias_C, standard_PC, weight_C), mean_C, variance_C, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_PC: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        """Ioffe & Szegedy 2015 (arXiv:1502.03167), sec. 3, with sums over valid frames."""
        standard_PC, valid_P, scale_C, count = ctx.saved_tensors
        gradient_PC = gradient_PC * valid_P[:, None]
        for_bias_C, for_weight_C = gradient_PC.sum(0), (gradient_PC * standard_PC).sum(0)
        # what the mean and the variance hand back, which no padding was part of
        gradient_PC -= for_bias_C / count
        gradient_PC.addcmul_(standard_PC, for_weight_C / count, value=-1)
        gradient_PC *= scale_C
        gradient_PC *= valid_P[:, None]
        return gradient_PC, None, for_weight_C, for_bias_C, None


def _shared(
    x_PC: Tensor, valid_P: Tensor, weight_C: Tensor, bias_C: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Batch norm by mean and variance over the valid frames of all processes, which may differ in number."""
    sums = torch.cat([valid_P @ x_PC, valid_P @ x_PC.square(), valid_P.sum()[None]])
    sums = all_reduce(sums)  # type: ignore[no-untyped-call]  # unlike distributed.all_reduce, differentiable
    total_C, square_C, count = torch.split(sums, [len(weight_C), len(weight_C), 1])
    mean_C = total_C / count
    variance_C = (square_C / count - mean_C.square()).clamp(min=0)
    normalised_PC = (x_PC - mean_C) * (weight_C * torch.rsqrt(variance_C + eps)) + bias_C
    return normalised_PC, mean_C, variance_C, count
