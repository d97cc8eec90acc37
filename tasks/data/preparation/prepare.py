"""One raw utterance to samples and a normalised text, or to a reason why not. Runs in the worker processes.

Legend: N samples.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Self
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from kd.runtime.audio_decoder import Remark
from kd.text.writing import Writing
from tasks.data.corpora.raw import RawUtterance
from tasks.data.preparation.audio import (
    Samples,
    check_sound,
    decode,
    decode_stretch,
    level,
    locate,
    to_int16,
    to_rate,
    trim,
)
from tasks.data.preparation.quarantine import Quarantined, Reason, RejectedError
from tasks.data.preparation.text import normalise, reference, spelled_out
from tasks.data.remote import AbsentError, fetched, scheme_of
from tasks.data.utterance import Utterance
from tasks.params.pipeline import Params, PreprocessParams
from tasks.params.writing import writing_of
from tasks.runner.paths import Paths

_JOINT_S = 0.025  # windows in which the background of two joined recordings is measured


@dataclass(frozen=True)
class Plan:
    """What is done to every utterance. fetched: folder for copies of recordings at addresses."""

    project: Path
    settings: PreprocessParams
    sample_rate_hz: int
    writing: Writing
    fetched: Path

    @classmethod
    def of(cls, params: Params, project: Path) -> "Plan":
        rate_hz = params.frontend.sample_rate_hz
        return cls(project, params.preprocess, rate_hz, writing_of(params), Paths(project).fetched)


@dataclass(frozen=True)
class Prepared:
    """An utterance that passed on its own, and its samples; what depends on the others, its offset too, comes later."""

    utterance: Utterance
    samples_N: NDArray[np.int16]
    recorded: str
    """Hash of the audio before it was trimmed or levelled: by it the same recording is found in two parts."""
    remarks: tuple[Remark, ...] = ()
    """What was done to the recording so that it could be used; of its pieces the first has them."""

    @classmethod
    def of(cls, row: RawUtterance, name: str, text: str | None, decoded: "_Decoded", plan: Plan) -> Self:
        assert row.split is not None
        samples_N = to_int16(decoded.samples_N)
        audio_hash = blake2b(samples_N.tobytes(), digest_size=16).hexdigest()
        utterance = Utterance(
            name, text or "", row.speaker, row.split, 0, len(samples_N), audio_hash, row.snr_db, _relative(row, plan),
            row.part,
        )  # fmt: skip
        return cls(utterance, samples_N, decoded.recorded, decoded.remarks)


def prepare_all(rows: list[RawUtterance], plan: Plan) -> list[Prepared | Quarantined]:
    """Outcomes in the order of the rows; one each, but for what is split by length."""
    return [outcome for row in rows for outcome in prepare(row, plan)]


def prepare(row: RawUtterance, plan: Plan) -> list[Prepared | Quarantined]:
    """What becomes of a row. Of the test part every utterance that decodes and has a reference is kept, as recorded."""
    if row.fault is not None:
        return [_put_aside(row, row.id, RejectedError(Reason(row.fault.reason), row.fault.detail), plan)]
    if row.split == "test":
        return [_as_recorded(row, plan)]
    try:
        text = _text(row, plan)
        whole = _joined(row, plan, lambda file, start_s, end_s: _recording(file, start_s, end_s, plan))
        pieces = _fit(whole.samples_N, plan)
    except RejectedError as error:
        return [_put_aside(row, row.id, error, plan)]
    names = [row.id] if len(pieces) == 1 else [f"{row.id}+{i}" for i in range(len(pieces))]
    hashes = [whole.recorded] if len(pieces) == 1 else [f"{whole.recorded}+{i}" for i in range(len(pieces))]
    remarks = [whole.remarks, *(() for _ in pieces[1:])]
    return [_finish(row, *piece, text, plan) for piece in zip(names, pieces, hashes, remarks, strict=True)]


def _as_recorded(row: RawUtterance, plan: Plan) -> Prepared | Quarantined:
    """An utterance of the test part with the samples that `kd transcribe` takes from the same file.

    It is not levelled, trimmed, cut, or refused for how it sounds or is transcribed: errors are counted on whatever
    users may record. Signs that no unit can write stay in the reference.
    """
    rate_hz = plan.sample_rate_hz
    try:
        text = reference(row.text, plan.writing)
        decoded = _joined(
            row, plan, lambda file, start_s, end_s: _Decoded.of(*decode_stretch(file, start_s, end_s, rate_hz))
        )
    except RejectedError as error:
        return _put_aside(row, row.id, error, plan)
    return Prepared.of(row, row.id, text, decoded, plan)


def _text(row: RawUtterance, plan: Plan) -> str | None:
    """The transcript as the settings say; None for training audio that nobody transcribed, where that is kept."""
    settings = plan.settings
    if settings.unlabelled == "keep" and row.split == "train" and not row.is_labelled:
        return None
    return normalise(row.text, plan.writing)


def _finish(
    row: RawUtterance,
    name: str,
    piece_N: Samples,
    recorded: str,
    remarks: tuple[Remark, ...],
    text: str | None,
    plan: Plan,
) -> Prepared | Quarantined:
    try:
        check_sound(piece_N)
    except RejectedError as error:
        return _put_aside(row, name, error, plan)
    if plan.settings.level_dbfs is not None:
        piece_N = level(piece_N, plan.settings.level_dbfs)
    return Prepared.of(row, name, text, _Decoded(piece_N, recorded, remarks), plan)


@dataclass(frozen=True)
class _Decoded:
    """Samples, the hash of what they were before they were trimmed, and what was done to them."""

    samples_N: Samples
    recorded: str
    remarks: tuple[Remark, ...]

    @classmethod
    def of(cls, samples_N: Samples, remarks: tuple[Remark, ...]) -> Self:
        return cls(samples_N, blake2b(to_int16(samples_N).tobytes(), digest_size=16).hexdigest(), remarks)


def _joined(row: RawUtterance, plan: Plan, read: Callable[[Path, float | None, float | None], _Decoded]) -> _Decoded:
    """The stretch of the recording that the row names, as `read` gives it; or its parts, one after another."""
    root = plan.project / row.root
    if row.parts is None:
        return read(_here(row, plan), row.start_s, row.end_s)
    parts = [read(locate(root, part.path), None, None) for part in row.parts]
    gaps = [round(part.gap_s * plan.sample_rate_hz) for part in row.parts]
    rng = np.random.default_rng(crc32(row.id.encode()))
    samples_N = join([part.samples_N for part in parts], gaps, int(_JOINT_S * plan.sample_rate_hz), rng)
    recorded = "+".join(f"{part.recorded}@{gap}" for part, gap in zip(parts, gaps, strict=True))
    return _Decoded(samples_N, recorded, tuple(remark for part in parts for remark in part.remarks))


def _here(row: RawUtterance, plan: Plan) -> Path:
    """The file; of an address a copy, which stays until the stage is done: other stretches of it are taken from there.

    Raises RejectedError where there is none; ValueError where its store refuses or is not there, for then no row is.
    """
    if row.path is None or scheme_of(row.path) is None:
        return locate(plan.project / row.root, row.path)
    try:
        return fetched(row.path, plan.fetched)
    except AbsentError as error:
        raise RejectedError(Reason.MISSING_FILE, str(error)) from None
    except ValueError as error:
        raise ValueError(f"utterance {row.id}: {error}") from None


def _recording(file: Path, start_s: float | None, end_s: float | None, plan: Plan) -> _Decoded:
    samples_N, rate_hz, remarks = decode(file, start_s, end_s)
    check_sound(samples_N)
    decoded = _Decoded.of(to_rate(samples_N, rate_hz, plan.sample_rate_hz), remarks)
    if plan.settings.trim_db is None:
        return decoded
    return replace(decoded, samples_N=trim(decoded.samples_N, plan.sample_rate_hz, plan.settings.trim_db))


def join(parts: list[Samples], gaps: list[int], window: int, rng: np.random.Generator) -> Samples:
    """Parts one after another, before each a pause of so many samples.

    Pauses hold white noise at the level of the quietest window of the part that follows: digital silence
    would mark the joints, and no microphone gives it.
    """
    joined: list[Samples] = []
    for part_N, gap in zip(parts, gaps, strict=True):
        whole = len(part_N) // window * window
        windows = part_N[:whole].reshape(-1, window) if whole else part_N[None]
        floor = float(np.sqrt(np.square(windows, dtype=np.float64).mean(axis=1).min()))
        joined += [(rng.standard_normal(gap) * floor).astype(np.float32), part_N]
    return np.concatenate(joined)


def _fit(samples_N: Samples, plan: Plan) -> list[Samples]:
    """The utterance in pieces within the limits of length."""
    settings, rate_hz = plan.settings, plan.sample_rate_hz
    length_s = len(samples_N) / rate_hz
    if length_s < settings.min_seconds:
        raise RejectedError(Reason.TOO_SHORT, f"{length_s:.3f} s, below min_seconds {settings.min_seconds:g}")
    if length_s <= settings.max_seconds:
        return [samples_N]
    most = int(settings.max_seconds * rate_hz)
    match settings.too_long:
        case "crop":
            return [loudest(samples_N, most)]
        case "split":
            return list(np.array_split(samples_N, -(-len(samples_N) // most)))
        case "quarantine":
            raise RejectedError(Reason.TOO_LONG, f"{length_s:.3f} s, above max_seconds {settings.max_seconds:g}")


def loudest(samples_N: Samples, most: int) -> Samples:
    """The stretch of `most` samples with the most energy."""
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples_N, dtype=np.float64))])
    first = int(np.argmax(energy[most:] - energy[:-most]))
    return samples_N[first : first + most]


def _relative(row: RawUtterance, plan: Plan) -> str:
    """The address, or the path from the corpus's root, so that no folder of this machine enters the data."""
    if row.path is not None and scheme_of(row.path) is not None:
        return row.path
    root, path = plan.project / row.root, Path(row.path or "")
    if path.is_absolute() or ".." in path.parts:
        path = (root / path).resolve().relative_to(root.resolve())
    return path.as_posix()


def _put_aside(row: RawUtterance, name: str, error: RejectedError, plan: Plan) -> Quarantined:
    label = spelled_out(row.text.strip(), plan.writing) if row.text is not None and row.is_labelled else None
    return Quarantined(name, row.path or "", error.reason, error.detail, label)
