"""CTC models in ONNX of random weights, with the inputs, outputs and metadata of sherpa-onnx's types.

A frame's best token follows from all its features, so that what is transcribed shows whether they were right.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from tasks.onnx.onnx_files import write_onnx

PIECES = ("▁", "▁the", "▁on", "ing", *"abcdefghijklmnopqrstuvwxyz'")
METADATA: dict[str, dict[str, str]] = {
    "zipformer_ctc": {"model_type": "zipformer2_ctc", "version": "1", "comment": "non-streaming zipformer2 CTC"},
    "wenet_ctc": {"model_type": "wenet_ctc", "version": "1", "subsampling_factor": "4", "vocab_size": "32"},
    "nemo_ctc": {
        "model_type": "EncDecCTCModelBPE", "version": "1", "subsampling_factor": "4", "vocab_size": "32",
        "normalize_type": "per_feature",
    },
    "omnilingual": {},
}  # fmt: skip
BLANKS = {"zipformer_ctc": "<blk>", "wenet_ctc": "<blank>", "nemo_ctc": "<blk>", "omnilingual": "<s>"}


def tokens_of(kind: str) -> list[str]:
    """NeMo's blank is the last token, all others' the first."""
    return [*PIECES, BLANKS[kind]] if kind == "nemo_ctc" else [BLANKS[kind], *PIECES]


class OfFeatures(nn.Module):
    """Every fourth frame: the sines of its features, against a random direction for each token.

    A sine tells features of another scale or level apart, and makes neighbouring frames unlike. The frames are as many
    as the type's encoders give: icefall's and WeNet's convolutions have no padding, and lose some at both ends.
    """

    def __init__(self, num_tokens: int, kind: str) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.kind = kind
        self.linear = nn.Linear(80, num_tokens)

    def forward(self, x: Tensor, x_lens: Tensor) -> Any:
        if self.kind == "nemo_ctc":
            return self.linear(x.transpose(1, 2)[:, ::4].sin()).log_softmax(-1) + 0 * x_lens.sum()
        if self.kind == "wenet_ctc":
            kept, lengths = x[:, 1:][:, 1::2][:, 1:][:, 1::2], ((x_lens - 1) // 2 - 1) // 2
        else:
            kept, lengths = x[:, 3:-4][:, 1::2][:, ::2], ((x_lens - 7) // 2 + 1) // 2
        return self.linear(kept.sin()).log_softmax(-1), lengths


class OfSamples(nn.Module):
    """Every 320 samples against a random direction for each token."""

    def __init__(self, num_tokens: int) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.conv = nn.Conv1d(1, num_tokens, 400, stride=320)

    def forward(self, x: Tensor) -> Tensor:
        return 3 * self.conv(x[:, None]).transpose(1, 2)


def make_onnx_ctc(folder: Path, kind: str, *, metadata: Mapping[str, str] | None = None) -> Path:
    """Writes model.onnx and tokens.txt of one of sherpa-onnx's types; gives the folder."""
    tokens = tokens_of(kind)
    properties = METADATA[kind] if metadata is None else metadata
    outputs = {"log_probs": ("N", "T'")}
    if kind == "omnilingual":
        module: nn.Module = OfSamples(len(tokens))
        example: tuple[Tensor, ...] = (torch.randn(1, 4_000),)
        inputs: dict[str, tuple[str, ...]] = {"x": ("N", "S")}
    elif kind == "nemo_ctc":
        module = OfFeatures(len(tokens), kind)
        example = (torch.randn(2, 80, 33), torch.tensor([33, 29]))
        inputs = {"audio_signal": ("N", "80", "T"), "length": ("N",)}
    else:
        module, example = OfFeatures(len(tokens), kind), (torch.randn(2, 33, 80), torch.tensor([33, 29]))
        inputs = {"x": ("N", "T"), "x_lens": ("N",)}
        outputs["log_probs_len"] = ("N",)
    write_onnx(folder / "model.onnx", module, example, inputs, outputs, properties)
    write_tokens(folder / "tokens.txt", tokens)
    return folder


def write_tokens(file: Path, tokens: list[str]) -> None:
    file.write_text("".join(f"{token} {index}\n" for index, token in enumerate(tokens)), encoding="utf-8")


def with_metadata(file: Path, **changes: str | None) -> None:
    """The same file with other metadata; None: without."""
    model = onnx.load(file)
    kept = {entry.key: entry.value for entry in model.metadata_props} | changes
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {key: value for key, value in kept.items() if value is not None})
    onnx.save(model, file)


def speech_like(seconds: float, seed: int, rate_hz: int = 16_000) -> np.ndarray:
    """Noise whose colour and level change several times a second."""
    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(round(seconds * 8)):
        noise = rng.standard_normal(rate_hz // 8 + 64)
        kernel = rng.standard_normal(rng.integers(2, 32))
        part = np.convolve(noise, kernel, "same")[: rate_hz // 8]
        parts.append(part / np.abs(part).max() * rng.uniform(0.01, 0.5))
    return np.concatenate(parts).astype(np.float32)
