"""A CTC model in ONNX with its tokens: samples to the scores of its tokens, one utterance at a time.

Legend: S samples, T' frames of the model, W its tokens.
"""

import math
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
import torchaudio
from torch import Tensor

from tasks.data.token_file import read_token_table
from tasks.teachers.onnx_ctc.features import Array, make_inputs
from tasks.teachers.onnx_ctc.signature import first_line, open_model, read_signature, units_error

UNPADDED = ("zipformer_ctc", "wenet_ctc")
"""Types whose first convolutions are not padded, so that an utterance loses frames at both ends."""
PROBE_FRAMES = (240, 480)
"""Their difference is a multiple of every stride that there is: 2, 3, 4, 6 and 8."""
NUMBERS = {"tensor(float16)": np.float16, "tensor(int64)": np.int64, "tensor(int32)": np.int32}


class OnnxCtc:
    """The file, its tokens, and the features that it takes."""

    def __init__(self, folder: Path, model: str, tokens: str, kind: str | None) -> None:
        """kind: its type where the user names it. Raises ValueError, in one line, for what cannot teach."""
        self.file = folder / model
        self.session = open_model(self.file)
        self.table = read_token_table(folder / tokens)
        self.signature = read_signature(self.file, self.session, kind, len(self.table))
        self.inputs = make_inputs(self.signature)

    @property
    def versions(self) -> str:
        """Of the libraries that compute its scores."""
        nemo = f" {version('kaldi-native-fbank')}" if self.signature.type == "nemo_ctc" else ""
        return f"{onnxruntime.__version__} {torch.__version__} {torchaudio.__version__}{nemo}"

    def require_rate(self, sample_rate_hz: int) -> None:
        """Raises ValueError for audio that has not the frequencies which the model knows."""
        if sample_rate_hz < self.signature.sample_rate_hz:
            raise ValueError(
                f"{self.file} takes audio of {self.signature.sample_rate_hz} Hz, and this pipeline's has "
                f"{sample_rate_hz} Hz, so nothing above {sample_rate_hz // 2} Hz: set frontend.sample_rate_hz to "
                f"{self.signature.sample_rate_hz}, or name a model for {sample_rate_hz} Hz"
            )

    def scores(self, samples_S: Tensor, sample_rate_hz: int) -> Tensor:
        """Log-probabilities or logits (T', W) of an utterance in [-1, 1], a frame for each stride of it.

        Raises ValueError where the model does not take it, or gives another number of scores than it has tokens.
        """
        at_its_rate_S = torchaudio.functional.resample(samples_S, sample_rate_hz, self.signature.sample_rate_hz)
        x, seconds = self.inputs(at_its_rate_S), len(samples_S) / sample_rate_hz
        scores_TW = torch.from_numpy(self._run(x, f"{seconds:.2f} s of audio"))
        if len(scores_TW) == 0:
            raise ValueError(f"{self.file} gives no frame of {seconds:.2f} s of audio: raise preprocess.min_seconds")
        return self._whole(scores_TW, len(x)) if self.signature.type in UNPADDED else scores_TW

    @cached_property
    def stride(self) -> float:
        """Feature frames for one of the model's, as two lengths of silence tell it."""
        short, long = PROBE_FRAMES
        quiet_TF = np.zeros((long, self.signature.num_mels), np.float32)
        counts = [len(self._run(quiet_TF[:n], f"{n} frames of features")) for n in PROBE_FRAMES]
        return (long - short) / max(1, counts[1] - counts[0])

    def _whole(self, scores_TW: Tensor, frames: int) -> Tensor:
        """With a frame for each stride of the audio: the first and the last stand for what lies beyond them.

        What unpadded convolutions lose lies at both ends, so the frames between come to stand at their own times.
        """
        lost = max(0, math.ceil(frames / self.stride) - len(scores_TW))
        first = scores_TW[:1].expand(lost // 2, -1)
        return torch.cat([first, scores_TW, scores_TW[-1:].expand(lost - lost // 2, -1)])

    def _run(self, x: Array, called: str) -> Array:
        """Scores (T', W) in float32 of one utterance's inputs; called: what they are, for errors."""
        frames = x.shape[1] if self.signature.type == "nemo_ctc" else x.shape[0]
        given = self.session.get_inputs()
        values: list[Any] = [x[None], np.array([frames])][: len(given)]
        kinds = [NUMBERS.get(one.type, np.float32) for one in given]
        feeds = {
            one.name: value.astype(kind, copy=False) for one, value, kind in zip(given, values, kinds, strict=True)
        }
        try:
            scores_1TW, *others = self.session.run(None, feeds)
        except Exception as error:  # ONNX Runtime has a class for each kind, and none for all
            raise ValueError(
                f"{self.file} does not take {called}: {first_line(error)}. Set its "
                "type, or raise preprocess.min_seconds where audio is too short for it"
            ) from None
        if scores_1TW.ndim != 3 or scores_1TW.shape[2] != len(self.table):
            raise units_error(self.file, scores_1TW.shape[-1], len(self.table))
        count = self._num_frames(scores_1TW.shape[1], frames, others)
        return np.asarray(scores_1TW[0, :count], np.float32)

    def _num_frames(self, there: int, frames: int, others: list[Any]) -> int:
        """How many of its frames count: as it says itself; of NeMo's the whole ones, as sherpa-onnx takes them."""
        if self.signature.type == "nemo_ctc":
            return min(there, max(1, frames // int(self.signature.metadata["subsampling_factor"])))
        lengths = [int(one[0]) for one in others[:1] if one.shape == (1,)]
        return min([there, *lengths])
