"""Times of exported files, one utterance at a time, side by side."""

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from kd.audio.frontend import make_front_end
from kd.config.frontend import FrontEndSettings
from tasks.onnx.onnx_files import write_onnx
from tasks.runner.reporter import Reporter

Samples = npt.NDArray[np.float32]
WARM_UP = 3
Key = TypeVar("Key")


def time_interleaved(
    models: Mapping[Key, Callable[[Samples], Any]], samples: Sequence[Samples], repeats: int, reporter: Reporter
) -> dict[Key, npt.NDArray[np.float64]]:
    """Seconds of each model for each utterance: the median over repeats, shape (utterances,).

    All models transcribe one utterance before the next one is taken, in an order that turns, so that whatever
    slows the machine down hits all of them alike.
    """
    names = list(models)
    seconds = {name: np.empty((repeats, len(samples))) for name in names}
    for model in models.values():
        for _ in range(WARM_UP):
            model(samples[-1])
    turns = [(r, i) for r in range(repeats) for i in range(len(samples))]
    gc.collect()
    gc.disable()
    try:
        for repeat, i in reporter.progress(turns, len(turns), f"time {len(names)} files"):
            first = (repeat + i) % len(names)
            for name in names[first:] + names[:first]:
                started = time.perf_counter()
                models[name](samples[i])
                seconds[name][repeat, i] = time.perf_counter() - started
    finally:
        gc.enable()
    return {name: np.median(values, axis=0) for name, values in seconds.items()}


def write_frontend(file: Path, settings: FrontEndSettings) -> Path:
    """The log-mel front end as an ONNX file, from audio to features."""
    example = torch.zeros(2, 8000), torch.tensor([8000, 5003])
    inputs, outputs = {"audio": ("N", "S"), "audio_lens": ("N",)}, {"x": ("N", "T"), "x_lens": ("N",)}
    write_onnx(file, make_front_end(settings), example, inputs, outputs, {})
    return file
