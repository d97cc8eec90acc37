"""Random small Whisper encoders of transformers, and their weights in the files of others."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from workspace import make_workspace

from tasks.runner.paths import Paths

SHAPES: dict[str, dict[str, int]] = {
    "small": {"d_model": 24, "encoder_layers": 3, "encoder_attention_heads": 4, "encoder_ffn_dim": 40},
    "one head": {"d_model": 16, "encoder_layers": 1, "encoder_attention_heads": 1, "encoder_ffn_dim": 24},
    "128 mels": {
        "d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 64, "num_mel_bins": 128,
    },
}  # fmt: skip


def oracle(shape: str, frames: int) -> Any:
    """transformers' encoder for exactly so many feature frames, with weights and biases that are not the trivial ones.

    It takes no other length: its config says for how many positions it is.
    """
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    torch.manual_seed(3)
    config = WhisperConfig(**SHAPES[shape], max_source_positions=-(-frames // 2), attn_implementation="eager")
    encoder = WhisperEncoder(config).eval()
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            if "embed_positions" not in name:
                parameter.normal_(0, 0.2) if parameter.ndim > 1 else parameter.add_(0.3 * torch.randn_like(parameter))
    return encoder


def write_transformers(
    encoder: Any, folder: Path, *, pickled: bool = False, config: dict[str, Any] | None = None
) -> Path:
    """A folder as transformers' save_pretrained makes it of a whole model, of which this is the encoder."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"model.encoder.{name}": tensor.clone() for name, tensor in encoder.state_dict().items()}
    tensors["model.decoder.embed_tokens.weight"] = torch.zeros(3, 4)
    if pickled:
        torch.save(tensors, folder / "pytorch_model.bin")
    else:
        save_file(tensors, folder / "model.safetensors")
    said = {**encoder.config.to_dict(), "model_type": "whisper", **(config or {})}
    (folder / "config.json").write_text(json.dumps(said, default=str))
    return folder


def whisper_workspace(root: Path) -> Paths:
    """The tiny data, said to be of Whisper's sample rate, and in `theirs` a tiny Whisper with random weights."""
    paths = make_workspace(root)
    facts = json.loads((paths.prepared / "prepared.json").read_text(encoding="utf-8"))
    (paths.prepared / "prepared.json").write_text(json.dumps({**facts, "sample_rate_hz": 16_000}), encoding="utf-8")
    write_transformers(oracle("small", 3_000), root / "theirs")
    return paths


def write_openai(encoder: Any, file: Path) -> Path:
    """A .pt as openai distributes them."""
    names = {
        "self_attn.q_proj": "attn.query", "self_attn.k_proj": "attn.key", "self_attn.v_proj": "attn.value",
        "self_attn.out_proj": "attn.out", "self_attn_layer_norm": "attn_ln", "final_layer_norm": "mlp_ln",
        "fc1": "mlp.0", "fc2": "mlp.2",
    }  # fmt: skip
    found = {}
    for name, tensor in encoder.state_dict().items():
        for theirs, openais in names.items():
            name = name.replace(f".{theirs}.", f".{openais}.")
        name = name.replace("layers.", "blocks.").replace("embed_positions.weight", "positional_embedding")
        name = f"ln_post.{name.removeprefix('layer_norm.')}" if name.startswith("layer_norm.") else name
        found[f"encoder.{name}"] = tensor.half()
    dims = {"n_audio_head": encoder.config.encoder_attention_heads, "n_mels": encoder.config.num_mel_bins}
    torch.save({"dims": dims, "model_state_dict": {**found, "decoder.ln.weight": torch.ones(2)}}, file)
    return file


def write_ctranslate2(
    encoder: Any, folder: Path, *, changes: dict[str, Any] | None = None, bfloat16: bool = False
) -> Path:
    """A folder with a model.bin of CTranslate2's version 6, in half precision.

    changes: arrays by name, in place of the encoder's or besides them. bfloat16: instead of float16.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.numpy().astype(np.float16) for name, tensor in encoder.state_dict().items()}
    found: dict[str, Any] = {
        "encoder/num_heads": np.array(encoder.config.encoder_attention_heads, np.int16),
        "encoder/position_encodings/encodings": state["embed_positions.weight"],
        "encoder/layer_norm/gamma": state["layer_norm.weight"],
        "encoder/layer_norm/beta": state["layer_norm.bias"],
        "decoder/embeddings/weight": np.zeros((2, 2), np.float16),
    }
    for conv in ("conv1", "conv2"):
        found |= {f"encoder/{conv}/{kind}": state[f"{conv}.{kind}"] for kind in ("weight", "bias")}
    for i in range(encoder.config.encoder_layers):
        theirs, ours = f"layers.{i}.", f"encoder/layer_{i}/"
        attention = f"{theirs}self_attn."
        no_bias = np.zeros_like(state[f"{attention}q_proj.bias"])
        biases = [state[f"{attention}q_proj.bias"], no_bias, state[f"{attention}v_proj.bias"]]
        weights = [state[f"{attention}{part}_proj.weight"] for part in "qkv"]
        found[f"{ours}self_attention/linear_0/weight"] = np.concatenate(weights)
        found[f"{ours}self_attention/linear_0/bias"] = np.concatenate(biases)
        for kind in ("weight", "bias"):
            found[f"{ours}self_attention/linear_1/{kind}"] = state[f"{attention}out_proj.{kind}"]
            found[f"{ours}ffn/linear_0/{kind}"] = state[f"{theirs}fc1.{kind}"]
            found[f"{ours}ffn/linear_1/{kind}"] = state[f"{theirs}fc2.{kind}"]
        for kind, name in (("weight", "gamma"), ("bias", "beta")):
            found[f"{ours}self_attention/layer_norm/{name}"] = state[f"{theirs}self_attn_layer_norm.{kind}"]
            found[f"{ours}ffn/layer_norm/{name}"] = state[f"{theirs}final_layer_norm.{kind}"]
    (folder / "model.bin").write_bytes(_model_bin(found | (changes or {}), bfloat16))
    return folder


def _model_bin(tensors: dict[str, Any], bfloat16: bool) -> bytes:
    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    def content(array: Any) -> bytes:
        if not bfloat16 or array.dtype != np.float16:
            return bytes(array.tobytes())
        return torch.from_numpy(array).bfloat16().view(torch.int16).numpy().tobytes()

    types = {np.dtype(np.float16): 5 if bfloat16 else 4, np.dtype(np.int16): 2, np.dtype(np.int8): 1}
    parts = [struct.pack("<I", 6), text("WhisperSpec"), struct.pack("<II", 3, len(tensors))]
    for name, array in tensors.items():
        dims = struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
        parts += [text(name), dims, struct.pack("<BI", types[array.dtype], array.nbytes), content(array)]
    alias = [text("decoder/projection/weight"), text("decoder/embeddings/weight")]
    return b"".join([*parts, struct.pack("<I", 1), *alias])


def features(num_mels: int, frames: int) -> Tensor:
    """(1, frames, num_mels) in the range of Whisper's."""
    return torch.rand(1, frames, num_mels, generator=torch.Generator().manual_seed(5)) * 2 - 0.5
