"""A stream through an exported causal model: log-probabilities as the audio comes.

Legend: N samples, T feature frames, V units.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from kd.runtime.bundle import STREAMING, Bundle
from kd.runtime.errors import RefusedError
from kd.runtime.frontend import Features, LogMel, Samples
from kd.runtime.recogniser import LogProbs

FIRST_INPUTS = 2  # features and position; all others are memory


class Stream:
    """One stream: samples in, log-probabilities out, the same as those of the whole audio at once."""

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        if not (bundle.folder / STREAMING).is_file():
            raise RefusedError(
                f"{bundle.folder} holds no {STREAMING}: only transcribers whose model says causal: true can stream, "
                "with export.frontend_included: false"
            )
        self.bundle = bundle
        self._session = bundle.session(STREAMING, threads)
        self._features = LogMel(bundle.frontend)
        self._inputs = self._session.get_inputs()
        shapes = [tuple(1 if isinstance(size, str) else size for size in given.shape) for given in self._inputs]
        self._state: list[npt.NDArray[Any]] = [np.zeros(1, np.int64)]
        self._state += [np.zeros(shape, np.float32) for shape in shapes[FIRST_INPUTS:]]
        self._held_TF = np.zeros((bundle.subsampling - 1, bundle.frontend.num_mels), np.float32)

    def push(self, samples_N: Samples, last: bool = False) -> LogProbs:
        """(output frames, V) that these samples complete; with `last`, all that are left."""
        self._held_TF = np.concatenate([self._held_TF, self._features.push(samples_N, last)])
        step, block = self.bundle.subsampling, self.bundle.block_frames
        ready = len(self._held_TF) // step
        parts = [np.zeros((0, len(self.bundle.tokens)), np.float32)]
        for first in range(0, ready if last else ready // block * block, block):
            parts.append(self._run(self._held_TF[first * step : min(first + block, ready) * step]))
        done = sum(map(len, parts)) * step
        self._held_TF = self._held_TF[done:]
        return np.concatenate(parts)

    def _run(self, block_TF: Features) -> LogProbs:
        names = [given.name for given in self._inputs]
        found = self._session.run(None, dict(zip(names, [block_TF[None], *self._state], strict=True)))
        self._state = found[1:]
        return np.asarray(found[0][0], np.float32)
