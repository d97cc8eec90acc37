"""Tiny models of every family, as checkpoints that can be exported."""

from typing import Any

import torch
from pydantic import TypeAdapter

from kd.config.frontend import FrontEndSettings
from kd.config.models import EncoderSettings, ModelSettings
from kd.models import build
from kd.text.vocabulary import Vocabulary
from tasks.checkpoint import Checkpoint

ENCODERS: dict[str, dict[str, Any]] = {
    "gru": {"family": "rnn", "cell": "gru", "stem": 4, "width": 8, "layers": 2, "hidden": 6},
    "lstm": {"family": "rnn", "cell": "lstm", "stem": 4, "width": 8, "layers": 1, "hidden": 6},
    "one-way gru": {"family": "rnn", "bidirectional": False, "stem": 4, "width": 8, "layers": 1, "hidden": [5]},
    "cnn": {"family": "cnn", "stem": 4, "width": 8, "layers": 2, "hidden": [6, 9], "subsampling": 2},
    "conformer": {
        "family": "conformer", "stem": 4, "width": 8, "layers": 1, "heads": 2, "head_dim": 4,
        "feed_forward_1": 6, "feed_forward_2": 6, "channels": 6,
    },
    "whisper": {
        "family": "whisper", "stem": 4, "width": 8, "layers": 2, "heads": 2, "head_dim": 4, "feed_forward": 6,
    },
    "wav2vec2": {
        "family": "wav2vec2", "channels": 4, "kernels": [3, 2], "strides": [2, 1], "width_per_group": 4,
        "position_groups": 2, "position_kernel": 4, "layers": 2, "heads": 2, "head_dim": 4, "feed_forward": 6,
    },
    "wavlm": {
        "family": "wav2vec2", "channels": 4, "kernels": [3, 2], "strides": [2, 1], "width_per_group": 4,
        "position_groups": 2, "position_kernel": 3, "layers": 2, "heads": 2, "head_dim": 4, "feed_forward": 6,
        "norm_first": True, "extractor_norm": "layer", "conv_bias": True, "position_buckets": 16,
    },
    "patch_cnn": {"family": "patch_cnn", "frames": 16, "channels": [2, 3], "hidden": 5},
}  # fmt: skip
FRONTEND = FrontEndSettings(num_mels=16)


def checkpoint_of(encoder: str, problem: str) -> Checkpoint:
    torch.manual_seed(1)
    labels = Vocabulary.labels(["yes", "turn on", "no"])
    vocabulary = labels if problem == "keyword" else Vocabulary.characters("abc '")
    settings = ModelSettings(
        problem=problem,
        num_features=FRONTEND.num_mels,
        num_outputs=len(vocabulary),
        encoder=TypeAdapter(EncoderSettings).validate_python(ENCODERS[encoder]),
    )
    model = build(settings)
    model.set_statistics(torch.linspace(-9, -4, FRONTEND.num_mels), torch.full((FRONTEND.num_mels,), 3.0))
    return Checkpoint(model, FRONTEND, vocabulary, role="student", init="random", objective="labels")
