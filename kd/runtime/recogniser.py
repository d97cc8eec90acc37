"""An exported recogniser: samples to log-probabilities, long audio in overlapping chunks.

Legend: N samples, T feature frames, V units.
"""

from collections.abc import Iterator
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

LogProbs = npt.NDArray[np.float32]
Inputs = npt.NDArray[Any]


def inputs_of(bundle: Bundle, samples_N: Samples) -> Inputs:
    """What a model's files take of mono samples at the front end's rate: features (T, mels), or the samples."""
    return samples_N if bundle.frontend_included else LogMel(bundle.frontend).push(samples_N, last=True)


@dataclass(frozen=True)
class Recogniser:
    """One form of an exported model.

    chunk_s: audio that is taken at a time; context_s: what is heard of it on both sides beyond that, where the
    model's own reach is not known to be less. A model of finite reach gives the same numbers for any chunk_s.
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
            raise RefusedError(f"chunks of {chunk_s:g} s with {context_s:g} s of context: expected more than 0, and 0")
        bundle = Bundle.load(folder)
        return cls(bundle, bundle.session(FORMS[form], threads), chunk_s, context_s)

    def log_probs(self, samples_N: Samples) -> LogProbs:
        """(output frames, V) of mono samples in [-1, 1] at the front end's rate; one frame for a keyword."""
        return self.of_inputs(inputs_of(self.bundle, samples_N))

    def of_inputs(self, x: Inputs) -> LogProbs:
        """The same of what `inputs_of` gives."""
        frontend, bundle = self.bundle.frontend, self.bundle
        unit = frontend.shift if bundle.frontend_included else 1
        num_frames = frontend.num_frames(len(x)) if bundle.frontend_included else len(x)
        if num_frames == 0:
            return np.zeros((0, len(bundle.tokens)), np.float32)
        if bundle.problem == "keyword":
            return self._run(x)
        parts = [
            self._run(x[start * unit : None if end == num_frames else end * unit])[skip : skip + count]
            for start, end, skip, count in self._chunks(num_frames)
        ]
        return np.concatenate(parts)

    def _run(self, x: Inputs) -> LogProbs:
        """One piece of audio or features through the session."""
        inputs = self.session.get_inputs()
        kind = np.float16 if "float16" in inputs[0].type else np.float32
        feeds = {inputs[0].name: x[None].astype(kind, copy=False), inputs[1].name: np.array([len(x)], np.int64)}
        log_probs = np.asarray(self.session.run(None, feeds)[0], np.float32)
        return log_probs if self.bundle.problem == "keyword" else log_probs[0]

    def _chunks(self, num_frames: int) -> Iterator[tuple[int, int, int, int]]:
        """Feature frames to run, from start to end; of their output frames skip so many, then keep count."""
        step, shift_s = self.bundle.subsampling, self.bundle.step_s / self.bundle.subsampling
        unknown = round(self.context_s / shift_s)
        block = self.bundle.block_frames
        before, after = (
            -(-frames // (step * block)) * block for frames in self.bundle.reach_frames or (unknown, unknown)
        )  # in output frames from here on
        chunk = max(1, round(self.chunk_s / self.bundle.step_s / block)) * block
        num_outputs = -(-num_frames // step)
        for first in range(0, num_outputs, chunk):
            begin, count = max(0, first - before), min(chunk, num_outputs - first)
            end = min(num_frames, (first + count + after) * step)
            yield begin * step, end, first - begin, count
