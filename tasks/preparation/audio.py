"""Decoding, checking and levelling of one recording.

Legend: N samples.
"""

import math
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from kd.runtime import audio
from kd.runtime.errors import RefusedError
from tasks.preparation.quarantine import Reason, RejectedError

Samples = NDArray[np.float32]

READ_LIMIT_S = 600.0  # longest stretch that is decoded at once: what bounds a worker's memory
SILENT_PEAK = 0.001  # -60 dB of full scale; the quietest of 3,000 fsdd recordings peaks at 0.0105
CLIPPED_LEVEL = 0.99  # of full scale
CLIPPED_SHARE = 0.005  # of samples at that level; the worst of 3,000 fsdd recordings has 0.0005
PEAK_LIMIT = 0.99  # levelling stops there
_SEGMENT_SLACK_S = 0.05  # tables round their times
_TRIM_WINDOW_S, _TRIM_STEP_S = 0.025, 0.010
_TRIM_MARGIN_S = 0.05  # kept on both sides, for quiet onsets


def locate(root: Path, path: str | None) -> Path:
    """The regular file that `path` names inside `root`, links followed."""
    if path is None:
        raise RejectedError(Reason.MISSING_FILE, "no path is given")
    try:
        inside, file = root.resolve(), (root / path).resolve()
        if not file.is_relative_to(inside):
            raise RejectedError(Reason.OUTSIDE_ROOT, "the path leads out of corpus.root")
        if not file.exists():
            raise RejectedError(Reason.MISSING_FILE, "there is no such file")
        if not file.is_file():
            raise RejectedError(Reason.UNREADABLE, "it is a folder or a device, not a file")
    except (OSError, ValueError, RuntimeError) as error:  # null bytes, links in a circle, names too long
        raise RejectedError(Reason.MISSING_FILE, f"no path of a file ({type(error).__name__})") from None
    return file


def decode(file: Path, start_s: float | None, end_s: float | None) -> tuple[Samples, int]:
    """Mono samples of a file or of a stretch of it, and their rate in Hz. Channels are averaged."""
    try:
        if file.stat().st_size == 0:
            raise RejectedError(Reason.EMPTY, "the file has no bytes")
        with soundfile.SoundFile(file) as source:
            rate_hz = source.samplerate
            first, last = _stretch(len(source), rate_hz, start_s, end_s)
            source.seek(first)
            samples_NC = source.read(last - first, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise RejectedError(Reason.UNREADABLE, error.error_string) from None
    except OSError as error:
        raise RejectedError(Reason.UNREADABLE, error.strerror or type(error).__name__) from None
    if len(samples_NC) < last - first:
        raise RejectedError(
            Reason.UNREADABLE, f"only {len(samples_NC)} of {last - first} samples can be read: is it cut off?"
        )
    if not np.isfinite(samples_NC).all():
        raise RejectedError(Reason.NON_FINITE, "it holds samples that are infinite or no numbers")
    return samples_NC.mean(axis=1, dtype=np.float32), rate_hz


def listen(file: Path, start_s: float | None, end_s: float | None, rate_hz: int) -> Samples:
    """Samples of a file, or of a stretch of it, as `kd transcribe` takes them: in 16 bits, not levelled."""
    start = 0.0 if start_s is None else start_s
    if not (math.isfinite(start) and 0 <= start < (math.inf if end_s is None else end_s)):
        raise RejectedError(Reason.BAD_SEGMENT, f"{start:g} to {end_s} s is no stretch of a recording")
    try:
        samples_N = audio.read(str(file), rate_hz, start_s, end_s)
    except RefusedError as error:
        reason = Reason.EMPTY if file.stat().st_size == 0 else Reason.UNREADABLE
        raise RejectedError(reason, str(error).removeprefix(f"{file} ").removeprefix(f"{file}: ")) from None
    length_s = len(samples_N) / rate_hz
    if end_s is not None and length_s < end_s - start - _SEGMENT_SLACK_S:
        raise RejectedError(Reason.BAD_SEGMENT, f"{start:g} to {end_s:g} s: only {length_s:.3f} s of it are there")
    if not np.isfinite(samples_N).all():
        raise RejectedError(Reason.NON_FINITE, "it holds samples that are infinite or no numbers")
    if not len(samples_N):
        raise RejectedError(Reason.EMPTY if start_s is None else Reason.BAD_SEGMENT, "it holds no samples")
    return samples_N


def _stretch(num_samples: int, rate_hz: int, start_s: float | None, end_s: float | None) -> tuple[int, int]:
    """First sample, and the one after the last."""
    if num_samples == 0:
        raise RejectedError(Reason.EMPTY, "it holds no samples")
    length_s = num_samples / rate_hz
    start = 0.0 if start_s is None else start_s
    end = length_s if end_s is None else end_s
    if not (math.isfinite(start) and math.isfinite(end)):
        raise RejectedError(Reason.BAD_SEGMENT, "start or end is no number")
    if not 0 <= start < end or end > length_s + _SEGMENT_SLACK_S:
        raise RejectedError(
            Reason.BAD_SEGMENT, f"{start:g} to {end:g} s is no stretch of a recording of {length_s:.3f} s"
        )
    if end - start > READ_LIMIT_S:
        raise RejectedError(
            Reason.TOO_LONG, f"{end - start:.1f} s; above {READ_LIMIT_S:g} s, give start and end of its utterances"
        )
    first, last = round(start * rate_hz), min(round(end * rate_hz), num_samples)
    if first >= last:
        raise RejectedError(Reason.BAD_SEGMENT, f"{start:g} to {end:g} s holds no sample at {rate_hz} Hz")
    return first, last


def check_sound(samples_N: Samples) -> None:
    """Raises RejectedError where nothing can be heard, or where the recording was overdriven."""
    peak = float(np.abs(samples_N - samples_N.mean()).max())
    if peak < SILENT_PEAK:
        raise RejectedError(Reason.SILENT, f"its peak is {peak:.2g} of full scale, below {SILENT_PEAK:g}")
    share = float((np.abs(samples_N) >= CLIPPED_LEVEL).mean())
    if share > CLIPPED_SHARE:
        raise RejectedError(Reason.CLIPPED, f"{share:.1%} of its samples are at full scale")


def to_rate(samples_N: Samples, from_hz: int, to_hz: int) -> Samples:
    if from_hz == to_hz:
        return samples_N
    resampled_N: Samples = soxr.resample(samples_N, from_hz, to_hz).astype(np.float32, copy=False)
    return resampled_N


def trim(samples_N: Samples, rate_hz: int, below_peak_db: float) -> Samples:
    """Without the edges that are quieter, in windows of 25 ms, than the loudest window less `below_peak_db`.

    50 ms are kept on both sides. Of something shorter than a window, all is kept.
    """
    window, step = int(_TRIM_WINDOW_S * rate_hz), int(_TRIM_STEP_S * rate_hz)
    if len(samples_N) <= window:
        return samples_N
    power_N = np.square(samples_N - samples_N.mean(), dtype=np.float64)
    energy = np.concatenate([[0.0], np.cumsum(power_N)])
    starts = np.arange(0, len(samples_N) - window + 1, step)
    energy_W = energy[starts + window] - energy[starts]
    loud = np.flatnonzero(energy_W >= energy_W.max() * 10 ** (-below_peak_db / 10))
    margin = int(_TRIM_MARGIN_S * rate_hz)
    first = max(0, starts[loud[0]] - margin)
    return samples_N[first : starts[loud[-1]] + window + margin]


def level(samples_N: Samples, rms_dbfs: float) -> Samples:
    """At this root-mean-square level, or less where the peak would pass PEAK_LIMIT."""
    rms = float(np.sqrt(np.mean(np.square(samples_N, dtype=np.float64))))
    peak = float(np.abs(samples_N).max())
    return samples_N * np.float32(min(10 ** (rms_dbfs / 20) / rms, PEAK_LIMIT / peak))


def to_int16(samples_N: Samples) -> NDArray[np.int16]:
    scaled_N: NDArray[np.int16] = np.clip(np.rint(samples_N * 32768.0), -32768, 32767).astype("<i2")
    return scaled_N
