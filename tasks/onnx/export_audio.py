"""audio.onnx: samples to log-probabilities in one file, as sherpa-onnx's `omnilingual` models take them.

    audio [N, S] float32, all rows whole  ->  log_probs [N, T', V] float32

sherpa-onnx hands over audio of zero mean and unit variance, so only a model for which a gain changes nothing has the
same output there and here. Legend: N utterances, S samples, T' frames of the model, V units.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from kd.runtime.session import open_session
from tasks.checkpoint import Checkpoint
from tasks.onnx.onnx_files import write_onnx
from tasks.onnx.onnx_module import Exported

FILE = "audio.onnx"
EXAMPLE_SAMPLES = 8_000
PARITY_SHAPES = ((1, 3_001), (1, 24_000), (3, 11_111))
TOLERANCE = 2e-3
"""Wider than for features: their own rounding, about 1e-3 in nats, comes on top."""


class FromAudio(nn.Module):
    """An export with its front end, of rows that are as long as the batch."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        self.exported = Exported(checkpoint, frontend_included=True)

    def forward(self, audio_NS: Tensor) -> Tensor:
        lengths_N = torch.ones_like(audio_NS[:, 0], dtype=torch.int64) * audio_NS.shape[1]
        log_probs_NTV, _ = self.exported(audio_NS, lengths_N)
        return log_probs_NTV  # type: ignore[no-any-return]


def export_audio(checkpoint: Checkpoint, folder: Path) -> Path:
    """Write it beside the other files, proven to equal the PyTorch model.

    Raises ValueError for a keyword model, and for one that a gain changes.
    """
    settings = checkpoint.model.settings
    if settings.problem != "transcription":
        raise ValueError("export.audio_file: sherpa-onnx transcribes, and this problem is keyword: set it to false")
    if not (settings.level_frames or settings.normalised) and settings.peak is None:
        raise ValueError(
            "export.audio_file: sherpa-onnx scales its audio, and this older model's output depends on the level: "
            "set it to false, or train it anew"
        )
    example, outputs = 0.1 * torch.randn(2, EXAMPLE_SAMPLES), {"log_probs": ("N", "T'")}
    rate = str(checkpoint.frontend.sample_rate_hz)
    metadata = {"vocab_size": str(settings.num_outputs), "sample_rate_hz": rate}
    module = FromAudio(checkpoint)
    write_onnx(folder / FILE, module, (example,), {"audio": ("N", "S")}, outputs, metadata)
    _require_parity(module, folder / FILE)
    return folder / FILE


def _require_parity(module: FromAudio, file: Path) -> None:
    """Raises RuntimeError where the file's log-probabilities differ from PyTorch's, at lengths of no example."""
    session, generator = open_session(file), torch.Generator().manual_seed(0)
    for shape in PARITY_SHAPES:
        audio_NS = 0.1 * torch.randn(shape, generator=generator)
        with torch.no_grad():
            expected_NTV = module(audio_NS)
        found_NTV = torch.from_numpy(session.run(None, {"audio": audio_NS.numpy()})[0])
        if found_NTV.shape != expected_NTV.shape or float((found_NTV - expected_NTV).abs().max()) > TOLERANCE:
            raise RuntimeError(
                f"{file}: of audio of shape {shape} it does not give what PyTorch does. It cannot be used"
            )
