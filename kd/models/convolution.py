"""Convolution over time on features that lie frame by frame in memory.

Legend: B utterances, T frames, C channels.
"""

import torch
from torch import Tensor, nn


class TimeConv1d(nn.Conv1d):
    """`nn.Conv1d`, the same numbers to rounding; on a CPU an input that is a transposed (B, T, C) is read as it lies.

    So is its result: `transpose(1, 2)` of it is contiguous. torch has no such memory format for one dimension, and
    would copy the input, and pass a depthwise convolution through kernels that are several times slower. An ONNX file
    has the plain convolution.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        plain = input.ndim != 3 or input.device.type != "cpu" or self.padding_mode != "zeros"
        if plain or isinstance(self.padding, str) or torch.onnx.is_in_onnx_export():
            return super()._conv_forward(input, weight, bias)  # type: ignore[no-any-return]
        flat_BC1T = input.unsqueeze(2)
        strides, padding, dilation = (1, *self.stride), (0, *self.padding), (1, *self.dilation)
        result_BC1T = nn.functional.conv2d(
            flat_BC1T, weight.unsqueeze(2), bias, strides, padding, dilation, self.groups
        )
        result_BCT: Tensor = result_BC1T.squeeze(2)
        return result_BCT
