"""What a model costs, measured: parameters, bytes of its exported float32 file, multiply-accumulates, or time."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from kd.runtime.bundle import FORMS
from tasks.checkpoint import Checkpoint
from tasks.data.prepared import PreparedData, spread_over_lengths
from tasks.onnx.counts import counted
from tasks.onnx.latency import time_interleaved, write_frontend
from tasks.onnx.onnx_module import write_traced
from tasks.onnx.onnx_session import OnnxRecogniser
from tasks.runner.reporter import NullReporter

TIMED_UTTERANCES, REPEATS = 20, 5


def cost_of(checkpoint: Checkpoint, measure: str, data: PreparedData) -> float:
    """One measure of a model; latency_ms is the median over validation utterances, front end counted."""
    if (count := counted(checkpoint.model, measure, checkpoint.frontend)) is not None:
        return count
    with TemporaryDirectory() as folder:
        file = Path(folder) / FORMS["float32"]
        write_traced(checkpoint, file)
        return float(file.stat().st_size) if measure == "size_bytes" else latency_ms(file, checkpoint, data)


def latency_ms(file: Path, checkpoint: Checkpoint, data: PreparedData) -> float:
    """Median time for one validation utterance in ONNX Runtime with one thread, as the stage profile takes it."""
    frontend = write_frontend(file.with_name("frontend.onnx"), checkpoint.frontend)
    samples = [data.waveform(u) for u in spread_over_lengths(data.split("valid"), TIMED_UTTERANCES)]
    seconds = time_interleaved({"": OnnxRecogniser.load(file, frontend)}, samples, REPEATS, NullReporter())[""]
    return float(np.median(seconds) * 1000)
