"""Decoding, checking and levelling of one recording.

Legend: N samples.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kd.runtime import audio
from kd.runtime.audio_decoder import Recording, Remark
from kd.runtime.errors import AudioError, Fault
from kd.runtime.resample import resample
from tasks.data.preparation.quarantine import Reason, RejectedError

Samples = NDArray[np.float32]

READ_LIMIT_S = 600.0  # longest stretch that is decoded at once: what bounds a worker's memory
SILENT_PEAK = 0.001  # -60 dB of full scale; the quietest of 3,000 fsdd recordings peaks at 0.0105
CLIPPED_LEVEL = 0.99  # of full scale
CLIPPED_SHARE = 0.005  # of samples at that level; the worst of 3,000 fsdd recordings has 0.0005
PEAK_LIMIT = 0.99  # levelling stops there
_TRIM_WINDOW_S, _TRIM_STEP_S = 0.025, 0.010
_TRIM_MARGIN_S = 0.05  # kept on both sides, for quiet onsets
_REASONS: dict[Fault, Reason] = {
    "missing": Reason.MISSING_FILE,
    "empty": Reason.EMPTY,
    "unreadable": Reason.UNREADABLE,
    "non_finite": Reason.NON_FINITE,
    "stretch": Reason.BAD_SEGMENT,
}


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


def decode(file: Path, start_s: float | None, end_s: float | None) -> tuple[Samples, int, tuple[Remark, ...]]:
    """Mono samples of a file or a stretch of it, as the runtime decodes it; their rate in Hz; what was done to them."""
    recording = _open(file, start_s, end_s)
    if recording.duration_s > READ_LIMIT_S:
        length = f"{recording.duration_s:.1f} s; above {READ_LIMIT_S:g} s"
        raise RejectedError(Reason.TOO_LONG, f"{length}, give start and end of its utterances")
    return np.concatenate(list(recording.mono())), recording.rate_hz, recording.remarks


def decode_stretch(
    file: Path, start_s: float | None, end_s: float | None, rate_hz: int
) -> tuple[Samples, tuple[Remark, ...]]:
    """Samples of a file, or of a stretch of it, as `kd transcribe` takes them: in 16 bits, not levelled."""
    recording = _open(file, start_s, end_s)
    return np.concatenate(list(audio.blocks(recording, rate_hz))), recording.remarks


def _open(file: Path, start_s: float | None, end_s: float | None) -> Recording:
    """A recording that is all there: what is cut off does not hold what its transcript says."""
    try:
        recording = Recording.open(file, start_s, end_s)
    except AudioError as error:
        raise RejectedError(_REASONS[error.fault], error.detail) from None
    if recording.short is not None:
        raise RejectedError(Reason.UNREADABLE, recording.short)
    return recording


def check_sound(samples_N: Samples) -> None:
    """Raises RejectedError where it is silent, or where the recording was overdriven."""
    peak = float(np.abs(samples_N - samples_N.mean()).max())
    if peak < SILENT_PEAK:
        raise RejectedError(Reason.SILENT, f"its peak is {peak:.2g} of full scale, below {SILENT_PEAK:g}")
    share = float((np.abs(samples_N) >= CLIPPED_LEVEL).mean())
    if share > CLIPPED_SHARE:
        raise RejectedError(Reason.CLIPPED, f"{share:.1%} of its samples are at full scale")


def to_rate(samples_N: Samples, from_hz: int, to_hz: int) -> Samples:
    """Resample as `kd transcribe` does."""
    return resample(samples_N, from_hz, to_hz)


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
    """At this root-mean-square level without its mean, or less where the peak would pass PEAK_LIMIT."""
    centred_N: Samples = samples_N - np.float32(samples_N.mean(dtype=np.float64))
    rms = float(np.sqrt(np.mean(np.square(centred_N, dtype=np.float64))))
    peak = float(np.abs(centred_N).max())
    return centred_N * np.float32(min(10 ** (rms_dbfs / 20) / rms, PEAK_LIMIT / peak))


def to_int16(samples_N: Samples) -> NDArray[np.int16]:
    """Samples in [-1, 1] as little-endian 16-bit integers; what lies beyond is clipped."""
    scaled_N: NDArray[np.int16] = np.clip(np.rint(samples_N * 32768.0), -32768, 32767).astype("<i2")
    return scaled_N
