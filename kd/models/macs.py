"""Multiply-accumulates and parameters of a recogniser."""

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from kd.audio.frontend import make_front_end
from kd.config.frontend import FrontEndSettings
from kd.config.models import ModelSettings

SECONDS = {"transcription": 10.0, "keyword": 1.0}


def macs_per_audio_second(model: nn.Module, settings: ModelSettings, frontend: FrontEndSettings) -> float:
    """Multiply-accumulates of the model for one second of audio, front end excluded.

    Counted on one utterance of 10 s (1 s for keywords), since attention grows with the square of the length:
    every matrix product, convolution, attention and recurrent layer. Additions of biases, activations and
    normalisations are not counted; weights pruned to zero are, because dense kernels compute them.
    """
    seconds = SECONDS[settings.problem]
    frames = round(seconds * 1000 / frontend.frame_shift_ms)
    inputs = torch.zeros(1, frames, settings.num_features), torch.tensor([frames])
    return count_macs(model, *inputs) / seconds


def count_macs(model: nn.Module, *inputs: Tensor) -> float:
    """Multiply-accumulates of one call in evaluation mode, on a copy of the model on the CPU."""
    from torch.utils.flop_counter import FlopCounterMode  # it imports triton: a third of a second in every stage

    copy = deepcopy(model).cpu().eval()
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=_CPU_KERNELS) as counter:
        copy(*inputs)
    return float(counter.get_total_flops()) / 2


def frontend_macs_per_audio_second(settings: FrontEndSettings) -> float:
    """Multiply-accumulates of the log-mel front end for one second of audio, as an exported file computes it."""
    num_samples = settings.sample_rate_hz
    return count_macs(
        make_front_end(settings, as_exported=True), torch.zeros(1, num_samples), torch.tensor([num_samples])
    )


def count_params(model: nn.Module) -> tuple[int, int]:
    """Parameters, and how many of them are not zero; shared ones once, buffers left out."""
    params = list(model.parameters())
    return sum(p.numel() for p in params), sum(int(torch.count_nonzero(p)) for p in params)


def _lstm_flops(input_shape: Any, weight_ih_shape: Any, weight_hh_shape: Any, *_: Any, **__: Any) -> int:
    """One direction of one LSTM layer in oneDNN's fused kernel: two matrix products a step."""
    steps, batch, _features = input_shape
    per_step = sum(rows * columns for rows, columns in (weight_ih_shape, weight_hh_shape))
    return int(2 * steps * batch * per_step)


def _attention_flops(query_shape: Any, key_shape: Any, value_shape: Any, *_: Any, **__: Any) -> int:
    """Two matrix products a head: queries by keys, and their weights by values."""
    batch, heads, queries, key_size = query_shape
    keys, value_size = key_shape[2], value_shape[3]
    return int(2 * batch * heads * queries * keys * (key_size + value_size))


# Fused kernels of the CPU that PyTorch's counter does not know and would count as nothing.
_CPU_KERNELS: dict[Any, Any] = {
    torch.ops.aten.mkldnn_rnn_layer: _lstm_flops,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops,
}
