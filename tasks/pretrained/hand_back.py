"""A model of the family wav2vec2 as a folder of transformers: config.json, model.safetensors, vocabulary, front end.

Whatever it was made from, it is written as `Wav2Vec2ForCTC`, which computes the same as HuBERT's class; as
`HubertForCTC` where the extractor's frames are not normalised, as `WavLMForCTC` where heads gate relative positions.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from kd.config.wav2vec2 import Wav2Vec2Settings
from kd.models import Recogniser
from kd.text.token_table import WORD_BREAK
from kd.text.vocabulary import Vocabulary
from tasks.pretrained.wavlm_gates import EVEN, are_shared, shared
from tasks.runner.atomic_io import fresh_folder

CLASSES = {"wav2vec2": "Wav2Vec2ForCTC", "hubert": "HubertForCTC", "wavlm": "WavLMForCTC"}
BLANK = "<pad>"
"""As transformers' tokenizer of such models writes CTC's blank."""


def hand_back(model: Recogniser, vocabulary: Vocabulary, folder: Path) -> None:
    """Write the folder, in place of one that was there.

    Raises ValueError, which names the dimension or the key, for a model that transformers' config cannot express.
    """
    if why := next(_obstacles(model, vocabulary), ""):
        raise ValueError(f"transformers cannot express it: {why}. Set export.transformers_folder: false, or cut alike")
    settings = model.settings.encoder
    assert isinstance(settings, Wav2Vec2Settings)
    kind = _kind(settings)
    tokens = [BLANK, *(WORD_BREAK if token == " " else token for token in vocabulary.tokens[1:])]
    front_end = {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "feature_size": 1, "sampling_rate": 16_000}
    scaling = {"do_normalize": True, "return_attention_mask": settings.extractor_norm == "layer"}  # else none is used
    files: dict[str, Any] = {
        "config.json": _config(settings, kind, len(tokens)),
        "vocab.json": {token: index for index, token in enumerate(tokens)},
        "preprocessor_config.json": {**front_end, **scaling, "padding_value": 0.0},
        "tokenizer_config.json": _TOKENIZER,
    }
    with fresh_folder(folder) as part:
        for name, content in files.items():
            (part / name).write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
        state = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
        save_file(dict(_theirs(state, settings, kind)), part / "model.safetensors", {"format": "pt"})


_TOKENIZER = {
    "tokenizer_class": "Wav2Vec2CTCTokenizer",
    "word_delimiter_token": WORD_BREAK,
    "pad_token": BLANK,
    "unk_token": BLANK,
    "bos_token": None,
    "eos_token": None,
}


def _obstacles(model: Recogniser, vocabulary: Vocabulary) -> Iterator[str]:
    """What transformers has no key for, a line each."""
    settings, state = model.settings, model.state_dict()
    encoder = settings.encoder
    if not isinstance(encoder, Wav2Vec2Settings):
        yield f"its family is {encoder.family}, and only wav2vec2 can be handed back"
        return
    if settings.problem != "transcription" or vocabulary.kind != "characters":
        yield "its units are not characters, which a CTC tokenizer writes"
    if not settings.normalised or bool(state["mean_F"].any()) or bool((state["scale_F"] != 1).any()):
        yield "its samples are scaled otherwise than to a mean of 0 and a variance of 1: begin with init: teacher"
    if encoder.pooling != 1:
        yield f"pooling is {encoder.pooling}, where it has a frame every {encoder.stride} samples: use pooling 1"
    for dim in ("heads", "feed_forward"):
        if len(set(sizes := getattr(encoder, dim))) > 1:
            yield f"{dim} are {', '.join(map(str, sizes))}, where it has as many in each layer: slice them alike"
    if encoder.heads[0] * encoder.head_dim != encoder.width:
        yield (
            f"width {encoder.width} is not that of {encoder.heads[0]} heads of {encoder.head_dim}: keep "
            f"{encoder.width // encoder.head_dim} heads, or a width of {encoder.heads[0] * encoder.head_dim}"
        )
    if encoder.position_buckets is not None:
        yield from _gate_obstacles(encoder, state)


def _gate_obstacles(encoder: Wav2Vec2Settings, state: dict[str, Tensor]) -> Iterator[str]:
    """What heads share in WavLM: the table of all layers, and weights by which each reads its part of the stream."""
    if not encoder.projection_norm:
        yield "projection_norm is false, and WavLM always has it"
    first = state["encoder.layers.0.positions.table"]
    for i, heads in enumerate(encoder.heads):
        at = f"encoder.layers.{i}.positions"
        table = state[f"{at}.table"]
        if table.shape != first.shape or float((table - first).abs().max()) > EVEN:
            yield f"heads of layer {i} are others than those of layer 0, whose position bias all layers share"
        whole = heads * encoder.head_dim == encoder.width
        if whole and not are_shared(state[f"{at}.weight"], state[f"{at}.bias"], heads):
            yield f"heads of layer {i} read more of the stream than their own part: keep all heads and the whole width"


def _kind(settings: Wav2Vec2Settings) -> str:
    if settings.position_buckets is not None:
        return "wavlm"
    return "wav2vec2" if settings.projection_norm else "hubert"


def _config(settings: Wav2Vec2Settings, kind: str, num_outputs: int) -> dict[str, Any]:
    buckets = {"num_buckets": settings.position_buckets, "max_bucket_distance": settings.position_distance}
    return {
        "model_type": kind,
        "architectures": [CLASSES[kind]],
        "vocab_size": num_outputs,
        "pad_token_id": 0,
        "bos_token_id": None,
        "eos_token_id": None,
        "hidden_size": settings.width,
        "num_hidden_layers": settings.layers,
        "num_attention_heads": settings.heads[0],
        "intermediate_size": settings.feed_forward[0],
        "conv_dim": list(settings.channels),
        "conv_kernel": list(settings.kernels),
        "conv_stride": list(settings.strides),
        "conv_bias": settings.conv_bias,
        "feat_extract_norm": settings.extractor_norm,
        "do_stable_layer_norm": settings.norm_first,
        "num_conv_pos_embeddings": settings.position_kernel,
        "num_conv_pos_embedding_groups": settings.position_groups,
        "mask_time_prob": 0.0,
        **({"feat_proj_layer_norm": False} if kind == "hubert" else {}),
        **(buckets if kind == "wavlm" else {}),
    }


PLAIN = {
    "projection_norm": "feature_projection.layer_norm",
    "projection": "feature_projection.projection",
    "norm": "encoder.layer_norm",
    "input_norm": "encoder.layer_norm",
}
OF_LAYERS = {
    "attention.query": "attention.q_proj",
    "attention.key": "attention.k_proj",
    "attention.value": "attention.v_proj",
    "attention.out": "attention.out_proj",
    "attention_norm": "layer_norm",
    "expand": "feed_forward.intermediate_dense",
    "contract": "feed_forward.output_dense",
    "feed_forward_norm": "final_layer_norm",
}


def _theirs(state: dict[str, Tensor], settings: Wav2Vec2Settings, kind: str) -> Iterator[tuple[str, Tensor]]:
    """All tensors by transformers' names; keys get biases of zero, which they have there."""
    yield "lm_head.weight", state["head.weight"].contiguous()
    yield "lm_head.bias", state["head.bias"].contiguous()
    for name, tensor in state.items():
        part, _, end = name.removeprefix("encoder.").rpartition(".")
        if not name.startswith("encoder.") or ".positions" in name:
            continue
        if part.startswith("extractor."):
            _, _, i, what = part.split(".")
            part = f"feature_extractor.conv_layers.{i}.{'conv' if what == 'conv' else 'layer_norm'}"
        elif part.startswith("layers."):
            _, i, inner = part.split(".", 2)
            part = f"encoder.layers.{i}.{OF_LAYERS[inner]}"
        else:
            part = PLAIN[part]
        yield f"{kind}.{part}.{end}", tensor.contiguous()
    for layer in range(settings.layers):
        yield f"{kind}.encoder.layers.{layer}.attention.k_proj.bias", torch.zeros(settings.width)
    yield from _positions(state, settings, kind)


def _positions(state: dict[str, Tensor], settings: Wav2Vec2Settings, kind: str) -> Iterator[tuple[str, Tensor]]:
    """The convolution's weights as size and direction; and WavLM's gates, of which four outputs are summed."""
    at, weight_DGK = f"{kind}.encoder.pos_conv_embed.conv", state["encoder.positions.weight"]
    size_11K = weight_DGK.norm(dim=(0, 1), keepdim=True)
    yield f"{at}.parametrizations.weight.original0", size_11K
    yield f"{at}.parametrizations.weight.original1", torch.where(size_11K > 0, weight_DGK, 1.0)
    yield f"{at}.bias", state["encoder.positions.bias"].contiguous()
    if settings.position_buckets is None:
        return
    yield f"{kind}.encoder.layers.0.attention.rel_attn_embed.weight", state["encoder.layers.0.positions.table"]
    for i, heads in enumerate(settings.heads):
        gate, ours = f"{kind}.encoder.layers.{i}.attention.gru_rel_pos", f"encoder.layers.{i}.positions"
        weight, bias = shared(state[f"{ours}.weight"], state[f"{ours}.bias"], heads)
        yield f"{gate}_linear.weight", weight
        yield f"{gate}_linear.bias", bias
        yield f"{gate}_const", state[f"{ours}.scale"].view(1, heads, 1, 1).clone()
