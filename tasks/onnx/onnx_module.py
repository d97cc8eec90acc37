"""What an exported file computes, and what it says of itself.

Names and shapes are those of sherpa-onnx's zipformer CTC models. Legend: N utterances, T feature frames,
S samples, T' frames of the model, V units.

    transcription    x [N, T, mels] float32, x_lens [N] int64  ->  log_probs [N, T', V], log_probs_len [N] int64
    keyword          x, x_lens                                 ->  log_probs [N, V]
    with front end   audio [N, S] float32, audio_lens [N] int64, instead of x and x_lens
"""

from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d

from kd.audio.frontend import make_front_end
from kd.runtime.description import FORMAT
from tasks.checkpoint import Checkpoint
from tasks.onnx.onnx_files import write_onnx

TRACED_FRAMES = (47, 31)
SMOOTHING = 9
JUNK = 100.0


class Exported(nn.Module):
    """What the file computes: log-probabilities, from features or from audio."""

    def __init__(self, checkpoint: Checkpoint, frontend_included: bool) -> None:
        super().__init__()
        self.model = checkpoint.model
        self.frontend = make_front_end(checkpoint.frontend) if frontend_included else None
        self.keyword = checkpoint.model.settings.problem == "keyword"
        self.unit = 1
        if checkpoint.frontend.kind == "waveform":
            self.unit = getattr(checkpoint.model.settings.encoder, "subsampling", 1)
        self.eval()

    def forward(self, x: Tensor, lengths_B: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        if self.frontend is not None:
            x, lengths_B = self.frontend(x, lengths_B)
        logits_BTV, lengths_B = self.model(x, lengths_B)
        log_probs_BTV: Tensor = logits_BTV.log_softmax(2)
        return log_probs_BTV.squeeze(1) if self.keyword else (log_probs_BTV, lengths_B)

    def inputs(self) -> dict[str, tuple[str, ...]]:
        """Names, and their axes that vary."""
        if self.frontend is None:
            return {"x": ("N", "T"), "x_lens": ("N",)}
        return {"audio": ("N", "S"), "audio_lens": ("N",)}

    def outputs(self) -> dict[str, tuple[str, ...]]:
        return {"log_probs": ("N",)} if self.keyword else {"log_probs": ("N", "T'"), "log_probs_len": ("N",)}

    def batch(self, frames: tuple[int, ...], seed: int) -> tuple[Tensor, Tensor]:
        """A batch like those of training, but for its padding, which is rubbish: no file may look at it.

        Of samples in place of features, as many for each of `frames` as the model takes for a frame of its own.

        Features change as slowly as those of speech do; white noise would drive recurrent layers to where
        rounding errors grow.
        """
        generator = torch.Generator().manual_seed(seed)
        lengths_B = torch.tensor(frames) * self.unit
        if self.frontend is None:
            shape = len(frames), self.model.settings.num_features, int(lengths_B.max()) + SMOOTHING - 1
            smooth_BFT = avg_pool1d(torch.randn(shape, generator=generator), SMOOTHING, 1) * SMOOTHING**0.5
            x = smooth_BFT.transpose(1, 2) / self.model.scale_F + self.model.mean_F
        else:
            lengths_B = lengths_B * self.frontend.shift + 7
            x = 0.1 * torch.randn(len(frames), int(lengths_B.max()), generator=generator)
        for row, length in enumerate(lengths_B.tolist()):
            x[row, length:] = JUNK
        return x, lengths_B

    def exact(self, x: Tensor, lengths_B: Tensor) -> Tensor:
        """Log-probabilities of the model in float64: what is left of them in float32 is rounding."""
        if self.frontend is not None:
            x, lengths_B = self.frontend(x, lengths_B)
        logits_BTV, _ = deepcopy(self.model).double()(x.double(), lengths_B)
        log_probs_BTV: Tensor = logits_BTV.log_softmax(2)
        return log_probs_BTV.squeeze(1) if self.keyword else log_probs_BTV


def metadata(checkpoint: Checkpoint, frontend_included: bool) -> dict[str, str]:
    """Key-value pairs in the file. sherpa-onnx reads model_type; the rest is for whoever finds the file alone."""
    settings, frontend = checkpoint.model.settings, checkpoint.frontend
    kaldi = frontend.kind == "kaldi" and not frontend_included  # which sherpa-onnx computes itself
    for_sherpa = settings.problem == "transcription" and kaldi
    return {
        "model_type": "zipformer2_ctc" if for_sherpa else f"kd_{settings.problem}",
        "version": str(FORMAT),
        "vocab_size": str(settings.num_outputs),
        "subsampling_factor": str(getattr(settings.encoder, "subsampling", 1)),
        "sample_rate_hz": str(frontend.sample_rate_hz),
        "num_mels": str(frontend.num_mels),
    }


def write_traced(checkpoint: Checkpoint, file: Path, frontend_included: bool = False) -> Exported:
    """Write the file as it was traced, not compared yet; gives the module that it was traced from.

    frontend_included: it takes audio in place of features.
    """
    module = Exported(checkpoint, frontend_included)
    properties = metadata(checkpoint, frontend_included)
    write_onnx(file, module, module.batch(TRACED_FRAMES, seed=0), module.inputs(), module.outputs(), properties)
    return module
