"""Small models and batches that the tests share."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from kd.config.models import ModelSettings
from kd.config.propagation import DataDriven
from kd.models import Recogniser, build
from kd.propagation.calibration import gather

NUM_FEATURES = 16
NUM_OUTPUTS = 6
LEVEL_FRAMES = 9

ENCODERS: dict[str, dict[str, Any]] = {
    "cnn": {"family": "cnn", "stem": 8, "width": 12, "layers": 3, "hidden": [10, 7, 9], "kernel": 5},
    "gru": {"family": "rnn", "cell": "gru", "stem": 8, "width": 12, "layers": 3, "hidden": [10, 7, 6]},
    "lstm": {"family": "rnn", "cell": "lstm", "stem": 8, "width": 12, "layers": 2, "hidden": [10, 7]},
    "gru-one-way": {
        "family": "rnn", "cell": "gru", "bidirectional": False, "stem": 8, "width": 12, "layers": 2, "hidden": 9,
    },
    "lstm-one-way": {
        "family": "rnn", "cell": "lstm", "bidirectional": False, "stem": 7, "width": 9, "layers": 2, "hidden": 8,
    },
    "conformer": {
        "family": "conformer", "stem": 8, "width": 12, "layers": 3, "heads": [3, 4, 3], "head_dim": 4,
        "feed_forward_1": 9, "feed_forward_2": [11, 8, 7], "channels": [5, 6, 8], "kernel": 5,
    },
    "cnn-causal": {
        "family": "cnn", "causal": True, "stem": 8, "width": 12, "layers": 2, "hidden": [10, 7], "kernel": 5,
    },
    "gru-causal": {
        "family": "rnn", "causal": True, "bidirectional": False, "stem": 8, "width": 12, "layers": 2, "hidden": [10, 7],
    },
    "conformer-causal": {
        "family": "conformer", "causal": True, "chunk_frames": 2, "left_chunks": 2, "stem": 8, "width": 12, "layers": 2,
        "heads": [3, 4], "head_dim": 4, "feed_forward_1": 9, "feed_forward_2": [11, 8], "channels": [5, 6], "kernel": 5,
    },
    "whisper": {
        "family": "whisper", "stem": 8, "width": 12, "layers": 3, "heads": [3, 4, 3], "head_dim": 4,
        "feed_forward": [9, 11, 8], "pooling": 2,
    },
    "wav2vec2": {
        "family": "wav2vec2", "channels": [6, 7, 5], "kernels": [3, 2, 2], "strides": [2, 1, 1], "layers": 3,
        "heads": [3, 4, 3], "head_dim": 4, "feed_forward": [9, 11, 8], "width_per_group": 5, "position_groups": 3,
        "position_kernel": 4, "projection_norm": False,
    },
    "wav2vec2-gated": {
        "family": "wav2vec2", "channels": [6, 7, 5], "kernels": [3, 2, 2], "strides": [2, 1, 1], "layers": 3,
        "heads": [3, 4, 3], "head_dim": 4, "feed_forward": [9, 11, 8], "width_per_group": 6, "position_groups": 2,
        "position_kernel": 5, "position_buckets": 8, "position_distance": 9, "norm_first": True, "conv_bias": True,
        "extractor_norm": "layer",
    },
    "patch_cnn": {"family": "patch_cnn", "frames": 16, "channels": (3, 5), "hidden": 9},
}  # fmt: skip

TRANSCRIBERS = [name for name in ENCODERS if name != "patch_cnn"]
CASES = [*((name, "transcription") for name in TRANSCRIBERS), *((name, "keyword") for name in ENCODERS)]


def make_model(name: str, problem: str = "transcription", seed: int = 0) -> Recogniser:
    """A model in evaluation mode, whose batch statistics and biases are not the trivial ones."""
    torch.manual_seed(seed)
    sizes = {"num_features": NUM_FEATURES, "num_outputs": NUM_OUTPUTS, "level_frames": LEVEL_FRAMES}
    settings = ModelSettings.model_validate({"problem": problem, "encoder": ENCODERS[name], **sizes})
    model = build(settings)
    with torch.no_grad():
        for key, tensor in model.state_dict().items():
            if key.endswith("running_var"):
                tensor.uniform_(0.5, 2.0)
            elif key.endswith(("running_mean", "bias")):
                tensor.normal_(0, 0.3)
        model.set_statistics(torch.randn(NUM_FEATURES), torch.rand(NUM_FEATURES) + 0.5)
    return model.eval()


def make_features(seed: int = 0) -> tuple[Tensor, Tensor]:
    """features_BTF and lengths_B of three utterances."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, 40, NUM_FEATURES, generator=generator), torch.tensor([40, 17, 30])


def outputs(model: Recogniser) -> list[Tensor]:
    """Valid logits of each utterance of `make_features`."""
    with torch.no_grad():
        logits_BTV, lengths_B = model(*make_features())
    return [logits[:n] for logits, n in zip(logits_BTV, lengths_B.tolist(), strict=True)]


def calibrate(model: Recogniser, importance: DataDriven) -> Mapping[str, Tensor]:
    """What made-up batches say of the weights, under a loss that needs no labels."""
    features, lengths = make_features()

    def loss(model: Recogniser) -> Tensor:
        return model(features, lengths)[0].square().mean()

    return gather(model, importance, [loss] * importance.batches)
