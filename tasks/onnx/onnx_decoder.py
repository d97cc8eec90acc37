"""What the files of a model make of utterances, one at a time, through the runtime that their users have.

Legend: T frames, V units.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kd.runtime.bundle import Bundle
from kd.runtime.greedy import Greedy
from kd.runtime.recogniser import Inputs, Recogniser, inputs_of
from kd.runtime.session import open_session
from kd.runtime.transcribe import words_of
from kd.text.metrics import EDITS, Edits
from tasks.data.prepared import PreparedData, Utterance
from tasks.onnx.onnx_session import Feed


@dataclass(frozen=True)
class OnnxDecoder:
    """Prepared utterances as `kd transcribe` takes them: its features, its chunks of long audio, its greedy search."""

    data: PreparedData
    bundle: Bundle

    def open(self, file: Path) -> Recogniser:
        """One ONNX file of the model."""
        return Recogniser(self.bundle, open_session(file))

    def inputs(self, utterance: Utterance) -> Inputs:
        """Features of one utterance, or its audio where the files hold the front end: the same for all forms."""
        return inputs_of(self.bundle, self.data.waveform(utterance))

    def feed(self, utterance: Utterance) -> Feed:
        """One utterance under the names of the file's inputs."""
        x, names = self.inputs(utterance), ("audio", "audio_lens") if self.bundle.frontend_included else ("x", "x_lens")
        return dict(zip(names, (x[None], np.array([len(x)], np.int64)), strict=True))

    def text(self, log_probs_TV: npt.NDArray[np.float32]) -> str:
        """Greedy transcript, or keyword. What gives no numbers has an empty transcript."""
        if np.isnan(log_probs_TV).any():
            return ""
        return " ".join(word.text for word in words_of(self.bundle, Greedy(), log_probs_TV, 0.0))

    def transcribe(self, recogniser: Recogniser, utterance: Utterance) -> str:
        return self.text(recogniser.log_probs(self.data.waveform(utterance)))

    def edits(self, utterance: Utterance, hypothesis: str) -> Edits:
        return EDITS[self.bundle.problem](utterance.text, hypothesis)  # type: ignore[index]

    def error_row(self, utterance: Utterance, hypothesis: str) -> dict[str, Any]:
        """What every table of errors holds of an utterance: speaker, reference, hypothesis, and the errors in it."""
        edits = self.edits(utterance, hypothesis)
        return {
            "id": utterance.id,
            "split": utterance.split,
            "speaker": utterance.speaker,
            "reference": utterance.text,
            "hypothesis": hypothesis,
            "errors": edits.errors,
            "reference_units": edits.reference_units,
        }
