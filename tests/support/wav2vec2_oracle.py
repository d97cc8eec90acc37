"""Random small models of transformers and torchaudio: wav2vec 2.0, HuBERT and WavLM, with CTC heads."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

LETTERS = "|EONTWHRU'"
"""Of their heads: those of the tiny data, in another order and case than ours."""
SHAPE: dict[str, Any] = {
    "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 40,
    "conv_dim": [12, 10, 8], "conv_kernel": [10, 8, 4], "conv_stride": [5, 8, 4], "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 3, "vocab_size": 3 + len(LETTERS), "pad_token_id": 1, "layerdrop": 0.0,
    "mask_time_prob": 0.0, "attn_implementation": "eager",
}  # fmt: skip
"""A frame of 165 samples every 160."""
LAYER = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
BUCKETS = {"num_buckets": 16, "max_bucket_distance": 20}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "wav2vec2 group": ("Wav2Vec2", {}),
    "wav2vec2 layer": ("Wav2Vec2", LAYER),
    "hubert group": ("Hubert", {"feat_proj_layer_norm": False, "num_conv_pos_embeddings": 7}),
    "hubert layer": ("Hubert", LAYER),
    "wavlm": ("WavLM", BUCKETS),
    "wavlm layer": ("WavLM", {**BUCKETS, **LAYER}),
}


def oracle(kind: str, **changes: Any) -> Any:
    """transformers' model with a CTC head, with weights and biases that are not the trivial ones."""
    import transformers

    name, settings = KINDS[kind]
    torch.manual_seed(3)
    config = getattr(transformers, f"{name}Config")(**{**SHAPE, **settings, **changes})
    model = getattr(transformers, f"{name}ForCTC")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.25) if parameter.ndim > 1 else parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def write_transformers(model: Any, folder: Path, **config: Any) -> Path:
    """As save_pretrained does, with the vocabulary of a tokenizer; config: keys that are said otherwise."""
    model.save_pretrained(folder)
    ids = {label: index for index, label in enumerate(("<s>", "<pad>", "<unk>", *LETTERS))}
    (folder / "vocab.json").write_text(json.dumps(ids), encoding="utf-8")
    if config:
        said = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        (folder / "config.json").write_text(json.dumps({**said, **config}), encoding="utf-8")
    return folder


def waveform(num_samples: int) -> Tensor:
    """(1, N) of mean 0 and variance 1, as the recogniser scales it and transformers' feature extractor too."""
    noise_1N = torch.randn(1, num_samples, generator=torch.Generator().manual_seed(num_samples))
    return (noise_1N - noise_1N.mean()) / noise_1N.std(correction=0)


def torchaudio_model(gated: bool, layer: bool) -> torch.nn.Module:
    """torchaudio's model of that kind with 7 outputs, with weights and biases that are not the trivial ones."""
    from torchaudio.models import wav2vec2_model, wavlm_model

    settings: dict[str, Any] = {
        "extractor_mode": "layer_norm" if layer else "group_norm", "extractor_conv_bias": layer,
        "extractor_conv_layer_config": [(12, 10, 5), (10, 8, 8), (8, 4, 4)], "encoder_embed_dim": 24,
        "encoder_projection_dropout": 0.0, "encoder_pos_conv_kernel": 8, "encoder_pos_conv_groups": 3,
        "encoder_num_layers": 3, "encoder_num_heads": 4, "encoder_attention_dropout": 0.0,
        "encoder_ff_interm_features": 40, "encoder_ff_interm_dropout": 0.0, "encoder_dropout": 0.0,
        "encoder_layer_norm_first": layer, "encoder_layer_drop": 0.0, "aux_num_out": 7,
    }  # fmt: skip
    torch.manual_seed(4)
    buckets = {"encoder_num_buckets": 16, "encoder_max_distance": 20}
    model = wavlm_model(**settings, **buckets) if gated else wav2vec2_model(**settings)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.25) if parameter.ndim > 1 else parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()
