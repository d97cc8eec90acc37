"""Clips out of samples."""

import numpy as np

from tasks.teachers.transcribers import Clip


def make_clip(name: str, samples: np.ndarray, rate_hz: int = 16_000) -> Clip:
    waveform_N = samples.astype(np.float32)
    return Clip(name, f"audio/{name}.wav", len(waveform_N) / rate_hz, rate_hz, lambda: waveform_N)
