"""An exported recogniser: samples to log-probabilities, long audio in overlapping chunks.

Legend: N samples, T feature frames, V units.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import onnxruntime

from kd.runtime.bundle import FORMS, Bundle
from kd.runtime.errors import RefusedError
from kd.runtime.frontend import LogMel, Samples

CHUNK_S = 30.0
CONTEXT_S = 5.0
LONGEST_KEYWORD_S = 60.0

LogProbs = npt.NDArray[np.float32]
Inputs = npt.NDArray[Any]


def inputs_of(bundle: Bundle, samples_N: Samples) -> Inputs:
    """What a model's files take of mono samples at the front end's rate: features (T, mels), or the samples."""
    return samples_N if bundle.frontend_included else LogMel(bundle.frontend).push(samples_N, last=True)


@dataclass(frozen=True)
class Recogniser:
    """One form of an exported model.

    chunk_s: audio that is taken at a time; context_s: the context on both sides beyond that, where the
    receptive field is not known to be less. A model of a finite one gives the same numbers for any chunk_s.
    """

    bundle: Bundle
    session: onnxruntime.InferenceSession
    chunk_s: float = CHUNK_S
    context_s: float = CONTEXT_S

    @classmethod
    def load(
        cls,
        folder: Path,
        form: str = "float32",
        threads: int = 1,
        chunk_s: float = CHUNK_S,
        context_s: float = CONTEXT_S,
    ) -> Self:
        if not (chunk_s > 0 and context_s >= 0):
            raise RefusedError(
                f"chunks of {chunk_s:g} s with {context_s:g} s of context: give chunks of more than 0 s, and context "
                "of 0 s or more"
            )
        bundle = Bundle.load(folder)
        return cls(bundle, bundle.session(FORMS[form], threads), chunk_s, context_s)

    def log_probs(self, samples_N: Samples) -> LogProbs:
        """(output frames, V) of mono samples in [-1, 1] at the front end's rate; one frame for a keyword."""
        return self.of_inputs(inputs_of(self.bundle, samples_N))

    def of_inputs(self, x: Inputs) -> LogProbs:
        """Log-probabilities as `log_probs` gives them, of what `inputs_of` has made of the samples."""
        return np.concatenate([np.zeros((0, len(self.bundle.tokens)), np.float32), *self._through([x])])

    def stream(self, pieces: Iterable[Samples]) -> Iterator[LogProbs]:
        """Log-probabilities of audio that comes in pieces, a chunk at a time; memory does not grow with its length.

        Raises RefusedError for a keyword model and audio longer than LONGEST_KEYWORD_S.
        """
        keyword = self.bundle.problem == "keyword"
        return self._through(self._inputs(self._short(pieces) if keyword else pieces))

    def _inputs(self, pieces: Iterable[Samples]) -> Iterator[Inputs]:
        if self.bundle.frontend_included:
            yield from pieces
            return
        front = LogMel(self.bundle.frontend)
        for samples_N in pieces:
            yield front.push(samples_N)
        yield front.push(np.zeros(0, np.float32), last=True)

    def _short(self, pieces: Iterable[Samples]) -> Iterator[Samples]:
        num_samples = 0
        for samples_N in pieces:
            num_samples += len(samples_N)
            if num_samples > LONGEST_KEYWORD_S * self.bundle.frontend.sample_rate_hz:
                raise RefusedError(
                    f"longer than {LONGEST_KEYWORD_S:g} s, and {self.bundle.folder} gives one label for a whole "
                    "recording: cut it into clips of a word each"
                )
            yield samples_N

    def _through(self, parts: Iterable[Inputs]) -> Iterator[LogProbs]:
        """Inputs that come in parts through the session, chunk by chunk; all at once for a keyword."""
        held, first, step = _Held(self.bundle), 0, self.bundle.subsampling
        chunk, before, after = self._sizes()
        keyword = self.bundle.problem == "keyword"
        for part in parts:
            held.push(part)
            while not keyword and held.known_frames > (first + chunk + after) * step:
                yield self._chunk(held, first, chunk, before, (first + chunk + after) * step)
                first += chunk
        num_frames = held.all_frames
        if keyword:
            if num_frames:
                yield self._run(held.between(0, None))
            return
        for start in range(first, -(-num_frames // step), chunk):
            count = min(chunk, -(-num_frames // step) - start)
            end = (start + count + after) * step
            yield self._chunk(held, start, count, before, end if end < num_frames else None)

    def _chunk(self, held: "_Held", first: int, count: int, before: int, end: int | None) -> LogProbs:
        """`count` output frames from the first on, computed with those before them and up to a feature frame."""
        begin = max(0, first - before)
        skip = first - begin
        return self._run(held.between(begin * self.bundle.subsampling, end))[skip : skip + count]

    def _run(self, x: Inputs) -> LogProbs:
        """One piece of audio or features through the session."""
        inputs = self.session.get_inputs()
        kind = np.float16 if "float16" in inputs[0].type else np.float32
        feeds = {inputs[0].name: x[None].astype(kind, copy=False), inputs[1].name: np.array([len(x)], np.int64)}
        try:
            log_probs = np.asarray(self.session.run(None, feeds)[0], np.float32)
        except Exception as error:  # ONNX Runtime has a class for each kind, and none for all
            raise RefusedError(
                f"the model does not take {len(x)} rows of input: {str(error).strip().splitlines()[0][:160]}. Is its "
                "file of another export? Copy the whole folder again"
            ) from None
        return log_probs if self.bundle.problem == "keyword" else log_probs[0]

    def _sizes(self) -> tuple[int, int, int]:
        """Output frames of a chunk, and its context before and after."""
        bundle = self.bundle
        step, block, shift_s = bundle.subsampling, bundle.block_frames, bundle.step_s / bundle.subsampling
        unknown = round(self.context_s / shift_s)
        before, after = (
            -(-frames // (step * block)) * block for frames in bundle.receptive_field_frames or (unknown, unknown)
        )
        if bundle.frontend.kind == "waveform":  # the last frame of a chunk reaches beyond it
            before, after = max(block, before), max(block, after)
        return max(1, round(self.chunk_s / bundle.step_s / block)) * block, before, after


class _Held:
    """Rows of inputs as they come, samples or features; the oldest are forgotten."""

    def __init__(self, bundle: Bundle) -> None:
        self._frontend, self._of_samples = bundle.frontend, bundle.frontend_included
        self._unit = bundle.frontend.shift if bundle.frontend_included else 1  # rows for a feature frame
        self._parts: list[Inputs] = []
        self._first = 0  # row of the first that is held
        self._rows = 0

    @property
    def known_frames(self) -> int:
        """Feature frames that more audio does not change."""
        return self._rows // self._unit

    @property
    def all_frames(self) -> int:
        """Feature frames if no more comes."""
        return self._frontend.num_frames(self._rows) if self._of_samples else self._rows

    def push(self, rows: Inputs) -> None:
        if len(rows):
            self._parts.append(rows)
            self._rows += len(rows)

    def between(self, begin: int, end: int | None) -> Inputs:
        """Rows of feature frames from `begin` to before `end`, or to the last; what lies before is forgotten."""
        start = begin * self._unit - self._first
        whole = np.concatenate(self._parts)[start:]
        self._parts, self._first = [whole], begin * self._unit
        return whole if end is None else whole[: (end - begin) * self._unit]
