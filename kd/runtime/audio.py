"""Audio as models take it: mono float32 in [-1, 1] at the model's rate, from files and raw streams.

Samples are those that 16 bits hold, as in training: where a telephone's recording is brought to a higher rate, the
bands above it are not silent but filled by the noise of rounding, and models are trained on no other.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

import numpy as np

from kd.runtime.audio_decoder import Recording
from kd.runtime.resample import Resampler, Samples

READ_S = 0.1  # of a raw stream at a time
HELD_BYTES = 1 << 18
SILENT_POWER = 1e-12  # -120 dB of full scale


def read(file: str | Path, rate_hz: int, start_s: float | None = None, end_s: float | None = None) -> Samples:
    """A file's samples, or those of a stretch of it, as `transcribe` decodes them. Raises AudioError."""
    return np.concatenate([np.zeros(0, np.float32), *blocks(Recording.open(file, start_s, end_s), rate_hz)])


def blocks(recording: Recording, rate_hz: int, dbfs: float | None = None) -> Iterator[Samples]:
    """A recording's samples piece by piece, at a level (dBFS) where one is asked for. Raises AudioError."""
    if dbfs is None:
        yield from map(rounded, recording.at(rate_hz))
        return
    mean, gain = levelling(recording.at(rate_hz), dbfs)
    for samples_N in recording.at(rate_hz):
        yield rounded((samples_N - np.float32(mean)) * np.float32(gain))


def levelling(pieces: Iterable[Samples], dbfs: float) -> tuple[float, float]:
    """Mean to take away and factor that bring the rest to this root-mean-square level; (0, 1) for digital silence."""
    count, total, squares = 0, 0.0, 0.0
    for samples_N in pieces:
        count += len(samples_N)
        total += float(samples_N.sum(dtype=np.float64))
        squares += float(np.square(samples_N, dtype=np.float64).sum())
    mean = total / max(1, count)
    power = squares / max(1, count) - mean**2
    return (0.0, 1.0) if power <= SILENT_POWER else (mean, 10 ** (dbfs / 20) / power**0.5)


def levelled(pieces: Iterable[Samples], dbfs: float) -> Iterator[Samples]:
    """Pieces that come but once at a level: they wait in a temporary file until all are known."""
    with TemporaryFile() as held:

        def passed() -> Iterator[Samples]:
            for samples_N in pieces:
                held.write(samples_N.tobytes())
                yield samples_N

        mean, gain = levelling(passed(), dbfs)
        held.seek(0)
        while data := held.read(HELD_BYTES):
            yield rounded((np.frombuffer(data, np.float32) - np.float32(mean)) * np.float32(gain))


def raw(stream: BinaryIO, from_hz: int, rate_hz: int, channels: int = 1) -> Iterator[Samples]:
    """Little-endian 16-bit samples from a stream, as they come, at `rate_hz`; channels are averaged."""
    resampler, left = Resampler(from_hz, rate_hz), b""
    frame = 2 * channels
    size = frame * max(1, round(READ_S * from_hz))
    while data := stream.read(size):
        data = left + data
        whole = len(data) // frame * frame
        left = data[whole:]
        mono_N = from_int16(data[:whole]).reshape(-1, channels).mean(axis=1, dtype=np.float32)
        yield rounded(resampler.push(mono_N))
    yield rounded(resampler.push(np.zeros(0, np.float32), last=True))


def from_int16(data: bytes) -> Samples:
    """(N,) float32 in [-1, 1) of little-endian 16-bit samples."""
    return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32768)


def rounded(samples_N: Samples) -> Samples:
    """The nearest samples of 16 bits; what is louder than full scale is clipped."""
    steps_N = np.minimum(np.rint(np.clip(samples_N, -1, 1) * np.float32(32768)), 32767)
    scaled_N: Samples = steps_N.astype(np.float32) / np.float32(32768)
    return scaled_N
