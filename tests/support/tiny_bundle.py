"""A bundle of torchaudio.pipelines with small random weights: it stands in for those that are downloaded."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torchaudio
from torchaudio.models import wav2vec2_model
from torchaudio.pipelines import Wav2Vec2ASRBundle

LABELS = ("|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ")
SHAPE: dict[str, Any] = {
    "extractor_mode": "group_norm",
    "extractor_conv_layer_config": [(8, 10, 5), (8, 3, 2), (8, 3, 2), (8, 3, 2), (8, 3, 2), (8, 2, 2), (8, 2, 2)],
    "extractor_conv_bias": False,
    "encoder_embed_dim": 16,
    "encoder_projection_dropout": 0.0,
    "encoder_pos_conv_kernel": 8,
    "encoder_pos_conv_groups": 2,
    "encoder_num_layers": 1,
    "encoder_num_heads": 2,
    "encoder_attention_dropout": 0.0,
    "encoder_ff_interm_features": 16,
    "encoder_ff_interm_dropout": 0.0,
    "encoder_dropout": 0.0,
    "encoder_layer_norm_first": False,
    "encoder_layer_drop": 0.0,
    "aux_num_out": 29,
}


def make_tiny_bundle(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Registers TINY_ASR; its weights are folder/tiny.pth as torchaudio keeps them, and that file is returned.

    The last layer has three rows more, which the bundle's own code removes.
    """
    bundle = Wav2Vec2ASRBundle(
        "tiny.pth", SHAPE, _sample_rate=16_000, _normalize_waveform=True, _model_type="Wav2Vec2", _labels=LABELS
    )
    monkeypatch.setattr(torchaudio.pipelines, "TINY_ASR", bundle, raising=False)
    torch.manual_seed(0)
    state = wav2vec2_model(**SHAPE).state_dict()
    for key in ("aux.weight", "aux.bias"):
        first, *rest = state[key] * 20
        state[key] = torch.stack([first, *[torch.zeros_like(first)] * 3, *rest])
    torch.save(state, folder / "tiny.pth")
    return folder / "tiny.pth"
