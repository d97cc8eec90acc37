"""What each type of CTC model takes, computed as sherpa-onnx computes it. Legend: S samples, T frames, F features."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kd.audio.frontend import FrontEnd, make_front_end
from kd.runtime.frontend import FLOOR
from tasks.teachers.onnx_ctc.signature import KD, Signature

Array = npt.NDArray[np.float32]
Inputs = Callable[[Tensor], Array]
"""Samples in [-1, 1] at the model's rate to one utterance of its first input: (T, F), (F, T) or (S,)."""

SIXTEEN_BITS = 32_768
"""WeNet's features are of samples as whole numbers of 16 bits."""
SAMPLE_EPS = 1e-5
"""What sherpa-onnx adds to the variance of samples, and to the deviation of NeMo's features."""
NEMO_GUARD = 2.0**-24
"""What NeMo adds to the power of a mel filter."""


def make_inputs(signature: Signature) -> Inputs:
    """Raises ValueError where a library is missing."""
    if signature.type == "nemo_ctc":
        return _Nemo(signature)
    if signature.type == "omnilingual":
        return _normalised
    if signature.frontend is None:
        assert signature.type == KD, "other types take features"
        return lambda samples_S: np.asarray(samples_S, np.float32)
    scale = SIXTEEN_BITS if signature.type == "wenet_ctc" else 1
    return _log_mel(make_front_end(signature.frontend), scale)


def _log_mel(front_end: FrontEnd, scale: int) -> Inputs:
    """Our own front end, which is Kaldi's as sherpa-onnx has it (docs/adr/0004), without its dither for WeNet's."""

    def inputs(samples_S: Tensor) -> Array:
        features_1TF, _ = front_end(scale * samples_S[None], torch.tensor([len(samples_S)]))
        return np.asarray(features_1TF[0], np.float32)

    return inputs


def _normalised(samples_S: Tensor) -> Array:
    """Of zero mean and unit variance."""
    return np.asarray((samples_S - samples_S.mean()) / (samples_S.var(correction=0) + SAMPLE_EPS).sqrt(), np.float32)


class _Nemo:
    """(F, T) by kaldi-native-fbank with sherpa-onnx 2.0's options for NeMo: Hann windows, librosa's mel filters.

    Where the metadata say per_feature, NeMo's guard is added before the logarithm, in place of Kaldi's floor, and each
    feature is normalised over the utterance.
    """

    def __init__(self, signature: Signature) -> None:
        if find_spec("kaldi_native_fbank") is None:
            raise ValueError("type nemo_ctc needs kaldi-native-fbank: pip install -e '.[nemo]' -c requirements.lock")
        import kaldi_native_fbank as knf

        options = knf.FbankOptions()
        frames, mels = options.frame_opts, options.mel_opts
        frames.samp_freq, frames.dither, frames.snip_edges = signature.sample_rate_hz, 0.0, False
        frames.remove_dc_offset, frames.window_type = False, "hann"
        options.use_log_fbank = False
        mels.num_bins, mels.low_freq, mels.high_freq, mels.is_librosa = signature.num_mels, 0.0, 0.0, True
        self.options, self.library = options, knf
        self.rate_hz, self.per_feature = signature.sample_rate_hz, signature.metadata["normalize_type"] == "per_feature"

    def __call__(self, samples_S: Tensor) -> Array:
        fbank: Any = self.library.OnlineFbank(self.options)
        fbank.accept_waveform(self.rate_hz, samples_S.tolist())
        fbank.input_finished()
        rows = [fbank.get_frame(t) for t in range(fbank.num_frames_ready)]
        power_TF = np.array(rows, np.float64).reshape(-1, self.options.mel_opts.num_bins)
        if not self.per_feature:
            features_TF = np.log(np.maximum(power_TF, FLOOR))
        elif rows:
            features_TF = np.log(power_TF + NEMO_GUARD)
            mean_F, std_F = features_TF.mean(axis=0), features_TF.std(axis=0)
            features_TF = (features_TF - mean_F) / (std_F + SAMPLE_EPS)
        else:
            features_TF = power_TF
        return np.ascontiguousarray(features_TF.T, dtype=np.float32)
