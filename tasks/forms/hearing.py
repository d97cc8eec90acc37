"""What the files of a model make of utterances, one at a time, as their user runs them.

Legend: T frames, V units.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch

from kd.decode import DECODERS
from kd.frontend import LogMel
from kd.metrics import EDITS, Edits
from kd.text import Vocabulary
from tasks.checkpoint import Checkpoint
from tasks.data import PreparedData, Utterance
from tasks.deployed import Feed

LogProbs = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Ear:
    """Prepared utterances as inputs of a model's files: features of kd.frontend, or audio where that is included."""

    data: PreparedData
    problem: str
    vocabulary: Vocabulary
    frontend: LogMel
    frontend_included: bool

    @classmethod
    def of(cls, data: PreparedData, checkpoint: Checkpoint, frontend_included: bool) -> "Ear":
        problem = checkpoint.model.settings.problem
        return cls(data, problem, checkpoint.vocabulary, LogMel(checkpoint.frontend), frontend_included)

    def feed(self, utterance: Utterance) -> Feed:
        """One utterance under the names of the file's inputs."""
        samples = torch.from_numpy(self.data.waveform(utterance))[None]
        lengths = torch.tensor([samples.shape[1]])
        if self.frontend_included:
            return {"audio": samples.numpy(), "audio_lens": lengths.numpy()}
        with torch.inference_mode():
            features_BTF, frames_B = self.frontend(samples, lengths)
        return {"x": features_BTF.numpy(), "x_lens": frames_B.numpy()}

    def text(self, log_probs_TV: LogProbs) -> str:
        """Greedy transcript, or keyword."""
        logits_BTV = torch.from_numpy(log_probs_TV)[None]
        (units,) = DECODERS[self.problem](logits_BTV, torch.tensor([len(log_probs_TV)]))  # type: ignore[index]
        return self.vocabulary.decode(units)

    def edits(self, utterance: Utterance, hypothesis: str) -> Edits:
        return EDITS[self.problem](utterance.text, hypothesis)  # type: ignore[index]


def log_probs(session: onnxruntime.InferenceSession, feed: Feed) -> LogProbs:
    """Of one utterance, (T, V); a keyword is a sequence of one frame."""
    found = session.run(None, dict(feed))
    first: Any = found[0]
    return np.asarray(first[0, : int(found[1][0])] if len(found) > 1 else first, dtype=np.float32)
