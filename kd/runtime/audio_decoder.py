"""A recording block by block, as mono samples: what users transcribe and what the pipeline trains and scores on.

It is read twice, or once where it is short: first to learn what its samples are like, then for what comes of them.
Memory does not grow with its length. Legend: N samples, C channels.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import numpy as np

from kd.runtime.blocks import blocks, opened, sound_error
from kd.runtime.channels import Block, Sums
from kd.runtime.containers import POINTER, Header
from kd.runtime.errors import AudioError
from kd.runtime.resample import Resampler, Samples

KEPT_SAMPLES = 1 << 22  # of all channels; recordings up to here are decoded once
LOWEST_HZ, HIGHEST_HZ = 1_000, 768_000
OFFSET = 0.01  # of full scale: a mean beyond it is no part of the sound
LOUDEST = 2.0**31  # the largest that any writer scales its samples to; beyond it no number is a sound
SLACK_S = 0.05  # tables round their times


class Remark(NamedTuple):
    """What was done to a recording so that it can be transcribed; text: in words, of this one."""

    kind: Literal["header", "channels", "offset"]
    text: str


@dataclass(frozen=True)
class Recording:
    """A stretch of a file, looked through once.

    offset: mean that is taken away. channel: the one that is taken alone, None for the average. remarks: what was
    done to it. short: why it is less than its header promises, or None.
    """

    file: str
    rate_hz: int
    num_samples: int
    first: int
    offset: float
    channel: int | None
    remarks: tuple[Remark, ...]
    short: str | None
    _kept: tuple[Block, ...] | None = field(repr=False)

    @classmethod
    def open(cls, file: str | Path, start_s: float | None = None, end_s: float | None = None) -> Self:
        """Raises AudioError where it cannot be read, is empty, holds what is no sample, or has no such stretch."""
        found: Self = _Look(str(file)).through(cls, start_s, end_s)
        return found

    @property
    def duration_s(self) -> float:
        return self.num_samples / self.rate_hz

    def mono(self) -> Iterator[Samples]:
        """Blocks at the recording's own rate."""
        left = self.num_samples
        for block_NC in self._kept if self._kept is not None else blocks(Path(self.file), self.first, left):
            block_NC = block_NC[:left]
            left -= len(block_NC)
            mixed_N = block_NC.mean(axis=1, dtype=np.float32) if self.channel is None else block_NC[:, self.channel]
            yield mixed_N - np.float32(self.offset) if self.offset else mixed_N
            if left == 0:
                return

    def at(self, rate_hz: int) -> Iterator[Samples]:
        """Blocks at another rate."""
        resampler = Resampler(self.rate_hz, rate_hz)
        for samples_N in self.mono():
            yield resampler.push(samples_N)
        yield resampler.push(np.zeros(0, np.float32), last=True)


class _Look:
    """The first time through a file."""

    def __init__(self, file: str) -> None:
        self.file, self.remarks = file, list[Remark]()

    def through(self, kind: type[Recording], start_s: float | None, end_s: float | None) -> Any:
        header = self._header()
        with self._errors(), opened(Path(self.file), header.patch) as source:
            rate_hz, frames, channels = source.samplerate, source.frames, source.channels
        if not LOWEST_HZ <= rate_hz <= HIGHEST_HZ:
            detail = f"its header says {rate_hz} Hz; expected {LOWEST_HZ} to {HIGHEST_HZ}. Convert it to such a rate"
            raise AudioError(self.file, "unreadable", detail)
        promised = header.total if header.total is not None else frames
        first, wanted = self._stretch(rate_hz, start_s, end_s)
        sums = Sums(channels)
        kept, stopped = self._sum(sums, first, wanted, rate_hz)
        if start_s is not None or end_s is not None:
            self._check_stretch(first, sums.count, wanted, promised, rate_hz, start_s, end_s)
        elif sums.count == 0:
            raise AudioError(self.file, "empty", "it holds no samples: record or copy it again")
        short = self._short(header, first, sums.count, wanted, promised, rate_hz, stopped)
        offset, channel = self._shape(sums)
        remarks = tuple(self.remarks)
        return kind(self.file, rate_hz, sums.count, first, offset, channel, remarks, short, kept)

    def _sum(
        self, sums: Sums, first: int, wanted: int | None, rate_hz: int
    ) -> tuple[tuple[Block, ...] | None, str | None]:
        """Look at every block; gives them all where they are few, and what stopped the decoder."""
        kept: list[Block] | None = []
        with self._errors():
            try:
                for block_NC in blocks(Path(self.file), first, wanted):
                    self._check_finite(block_NC, first + sums.count, rate_hz)
                    sums.add(block_NC)
                    few = kept is not None and sums.count * block_NC.shape[1] <= KEPT_SAMPLES
                    kept = [*kept, block_NC] if kept is not None and few else None
            except sound_error() as error:
                if sums.count == 0:
                    raise
                return None if kept is None else tuple(kept), error.error_string or "the decoder lost its way"
        return None if kept is None else tuple(kept), None

    def _header(self) -> Header:
        path = Path(self.file)
        try:
            if not path.exists():
                raise AudioError(self.file, "missing", "no such file, or a link that leads nowhere: correct its name")
            if not path.is_file():
                raise AudioError(self.file, "unreadable", "it is a folder, a pipe or a device: name a file")
            if path.stat().st_size == 0:
                raise AudioError(self.file, "empty", "the file has no bytes: record or copy it again")
            with path.open("rb") as source:
                if source.read(len(POINTER)) == POINTER:
                    raise AudioError(self.file, "unreadable", "it is a pointer of Git LFS: run `git lfs pull` first")
            return Header.read(path)
        except OSError as error:
            raise self._unreadable(error) from None

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sound_error() as error:
            why = error.error_string.strip() or "libsndfile finds no sound in it"
            raise AudioError(
                self.file, "unreadable", f"it cannot be read: {why.rstrip('.')}. Convert it to WAV or FLAC first"
            ) from None
        except OSError as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: OSError) -> AudioError:
        why = f"it cannot be read: {error.strerror or error}. Copy it again, or allow to read it"
        return AudioError(self.file, "unreadable", why)

    def _stretch(self, rate_hz: int, start_s: float | None, end_s: float | None) -> tuple[int, int | None]:
        """First sample, and how many; None: all there are."""
        start = 0.0 if start_s is None else start_s
        end = math.inf if end_s is None else end_s
        if not math.isfinite(start) or math.isnan(end) or (end_s is not None and math.isinf(end)):
            raise AudioError(self.file, "stretch", f"{start:g} to {end:g} s are no two numbers: give both in seconds")
        if not 0 <= start < end or start * rate_hz >= 2**60:
            detail = f"{start:g} to {end:g} s is no stretch of a recording: start at 0 s or later, and end behind it"
            raise AudioError(self.file, "stretch", detail)
        first = round(start * rate_hz)
        if end_s is None:
            return first, None
        last = round(min(end * rate_hz, 2.0**60))
        if first >= last:
            detail = f"{start:g} to {end:g} s holds no sample at {rate_hz} Hz: lengthen the stretch"
            raise AudioError(self.file, "stretch", detail)
        return first, last - first

    def _check_stretch(
        self,
        first: int,
        count: int,
        wanted: int | None,
        promised: int,
        rate_hz: int,
        start_s: float | None,
        end_s: float | None,
    ) -> None:
        """A stretch that the header promises may be shorter, where the file is cut."""
        slack = SLACK_S * rate_hz
        if count and (wanted is None or wanted - count <= slack or first + wanted <= promised + slack):
            return
        named = f"{start_s or 0:g} to {'its end' if end_s is None else f'{end_s:g}'} s"
        if count == 0 and first + (wanted or 1) <= promised < 2**48:
            raise AudioError(self.file, "unreadable", f"nothing can be read from {named}: is it cut off? Copy it again")
        held = f"which has sound until {(first + count) / rate_hz:.3f} s" if count else "which ends before"
        raise AudioError(self.file, "stretch", f"{named} is no stretch of a recording {held}: correct its times")

    def _check_finite(self, block_NC: Block, before: int, rate_hz: int) -> None:
        sound_NC = np.abs(block_NC) <= LOUDEST  # not so for NaN either
        if sound_NC.all():
            return
        row, channel = divmod(int(np.argmin(sound_NC)), block_NC.shape[1])
        value, place = float(block_NC[row, channel]), before + row
        found = f"{value:.3g}" if math.isfinite(value) else "infinite or no number"
        detail = f"sample {place} ({place / rate_hz:.3f} s) is {found}; expected numbers up to 1. Export it again"
        raise AudioError(self.file, "non_finite", detail)

    def _short(
        self,
        header: Header,
        first: int,
        count: int,
        wanted: int | None,
        promised: int,
        rate_hz: int,
        stopped: str | None,
    ) -> str | None:
        end = first + count
        due = promised if wanted is None else min(promised, first + wanted)
        known = 0 < promised < 2**48
        if stopped is not None:
            of = f" of {due / rate_hz:.3f} s" if known else ""
            why = stopped.removeprefix("Error :").strip().rstrip(".")
            return f"only {end / rate_hz:.3f} s{of} can be read ({why}): is it damaged?"
        if known and end < due:
            return f"only {end} of {due} samples can be read: is it cut off?"
        if wanted is None and header.promised > header.there + 1:  # one byte of padding
            return f"only {header.there} of {header.promised} bytes of it are there: is it cut off?"
        if wanted is None and header.unended:
            return "the last page of its Ogg stream is missing: is it cut off?"
        said_bytes = header.promised if header.patch and header.total is None else 0
        if wanted is None and ((0 < promised < end) or said_bytes):
            said = f"{said_bytes} bytes" if said_bytes else f"{promised} samples"
            self._remark("header", f"its header says {said}; it was read until its end, {end / rate_hz:.3f} s")
        return None

    def _remark(self, kind: Literal["header", "channels", "offset"], text: str) -> None:
        self.remarks.append(Remark(kind, text))

    def _shape(self, sums: Sums) -> tuple[float, int | None]:
        """The mean to take away, and the channel to take alone."""
        channel, offset = None, sums.mean
        if sums.cancels:
            channel = int(np.argmax(sums.powers_C))
            offset = float(sums.means_C[channel])
            cancelling = f"its {len(sums.means_C)} channels cancel each other out"
            self._remark("channels", f"{cancelling}: channel {channel + 1} is taken alone")
        if abs(offset) <= OFFSET:
            return 0.0, channel
        self._remark("offset", f"an offset of {offset:+.2f} of full scale is taken away")
        return offset, channel
