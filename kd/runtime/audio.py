"""Audio from files, folders and raw streams: mono float32 in [-1, 1] at the model's rate.

Samples are those that 16 bits hold, as in training: where a telephone's recording is brought to a higher rate, the
bands above it are not silent but filled by the noise of rounding, and a model has heard no other.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from kd.runtime.errors import RefusedError
from kd.runtime.resample import Resampler, Samples, resample

SUFFIXES = (".aif", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".w64", ".wav")
STREAM = "-"
READ_S = 0.1  # of a raw stream at a time


def find(places: Iterable[str]) -> list[str]:
    """Files as they are, and all audio within folders, in order. `-` is standard input. Raises RefusedError."""
    found: list[str] = []
    for place in places:
        path = Path(place)
        if place == STREAM or path.is_file():
            found.append(place)
        elif path.is_dir():
            inside = sorted(str(file) for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
            if not inside:
                raise RefusedError(f"{place} holds no audio: files ending in {', '.join(SUFFIXES)} are looked for")
            found += inside
        else:
            raise RefusedError(f"{place}: no such file or folder. Raw samples on standard input are named by -")
    return found


def read(file: str, rate_hz: int, start_s: float | None = None, end_s: float | None = None) -> Samples:
    """A file's samples, or those of a stretch of it, channels averaged, at `rate_hz`. Raises RefusedError."""
    import soundfile

    try:
        with soundfile.SoundFile(file) as source:
            from_hz = source.samplerate
            first = round((start_s or 0.0) * from_hz)
            last = len(source) if end_s is None else min(len(source), round(end_s * from_hz))
            source.seek(min(first, len(source)))
            samples_NC = source.read(max(0, last - first), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise RefusedError(f"{file} cannot be read: {error.error_string} Convert it to WAV or FLAC first") from None
    return rounded(resample(samples_NC.mean(axis=1, dtype=np.float32), from_hz, rate_hz))


def raw(stream: BinaryIO, from_hz: int, rate_hz: int) -> Iterator[Samples]:
    """Little-endian 16-bit mono samples from a stream, as they come, at `rate_hz`."""
    resampler, left = Resampler(from_hz, rate_hz), b""
    size = 2 * max(1, round(READ_S * from_hz))
    while data := stream.read(size):
        data = left + data
        whole = len(data) // 2 * 2
        left = data[whole:]
        yield rounded(resampler.push(from_int16(data[:whole])))
    yield rounded(resampler.push(np.zeros(0, np.float32), last=True))


def from_int16(data: bytes) -> Samples:
    return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32768)


def level(samples_N: Samples, dbfs: float) -> Samples:
    """At this root-mean-square level; digital silence stays."""
    rms = float(np.sqrt(np.mean(np.square(samples_N, dtype=np.float64)))) if len(samples_N) else 0.0
    return samples_N if rms == 0 else rounded(samples_N * np.float32(10 ** (dbfs / 20) / rms))


def rounded(samples_N: Samples) -> Samples:
    """The nearest samples of 16 bits; what is louder than full scale is clipped."""
    steps_N = np.clip(np.rint(samples_N * np.float32(32768)), -32768, 32767)
    scaled_N: Samples = steps_N.astype(np.float32) / np.float32(32768)
    return scaled_N
