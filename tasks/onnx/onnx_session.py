"""An exported recogniser as its user runs it: audio in, log-probabilities out, in ONNX Runtime alone.

Nothing here loads PyTorch, so that time and memory are those of the files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import onnxruntime

from kd.runtime.session import open_session

Feed = Mapping[str, npt.NDArray[Any]]
"""What a session takes: arrays by the names of its inputs."""


@dataclass(frozen=True)
class OnnxRecogniser:
    """A model's session, and its front end's where the model takes features."""

    model: onnxruntime.InferenceSession
    frontend: onnxruntime.InferenceSession | None

    @classmethod
    def load(cls, model: Path, frontend: Path | None, threads: int = 1) -> Self:
        return cls(open_session(model, threads), open_session(frontend, threads) if frontend else None)

    def __call__(self, samples_N: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Log-probabilities of one utterance: (1, T', V), or (1, V) for keywords."""
        values: list[Any] = [samples_N[None], np.array([len(samples_N)], dtype=np.int64)]
        for session in (self.frontend, self.model):
            if session is not None:
                names = [given.name for given in session.get_inputs()]
                values = session.run(None, dict(zip(names, values, strict=True)))
        return np.asarray(values[0], dtype=np.float32)
