"""Whisper's encoder from the files of others: transformers' folder, openai's .pt, CTranslate2's folder.

Every name of the encoder is understood or refused by name; what belongs to the decoder is left out.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from kd.config.frontend import FrontEndSettings
from kd.config.models import WhisperSettings
from kd.models.whisper import SinusoidalPositions
from tasks.pretrained.weight_files import (
    Tensors,
    read_ctranslate2,
    read_folder,
    read_json,
    read_torch,
    required,
)

POSITIONS_TOLERANCE = 2e-3
"""Half precision moves a sinusoid by at most 5e-4."""


@dataclass(frozen=True)
class WhisperEncoderWeights:
    """Tensors in float32 by the names of kd.models.whisper, without the sinusoids; and how many heads share a width."""

    tensors: dict[str, Tensor]
    heads: int

    called = "Whisper's encoder"
    head = None

    @property
    def frontend(self) -> FrontEndSettings:
        return FrontEndSettings(kind="whisper", num_mels=self.num_mels)

    @property
    def num_mels(self) -> int:
        return self.tensors["stem.conv1.weight"].shape[1]

    def settings(self, pooling: int, dropout: float = 0.0) -> WhisperSettings:
        """Of an encoder of this shape."""
        width = self.tensors["stem.conv2.weight"].shape[0]
        layers = 1 + max(int(name.split(".")[1]) for name in self.tensors if name.startswith("layers."))
        return WhisperSettings.model_validate(
            {
                "stem": self.tensors["stem.conv1.weight"].shape[0],
                "width": width,
                "layers": layers,
                "heads": self.heads,
                "head_dim": width // self.heads,
                "feed_forward": [self.tensors[f"layers.{i}.expand.weight"].shape[0] for i in range(layers)],
                "pooling": pooling,
                "dropout": dropout,
            }
        )


def read_whisper(path: Path) -> WhisperEncoderWeights:
    """The encoder of a folder or file. Raises ValueError, which names the file or the key that is not understood."""
    if path.is_file():
        return _openai(path)
    if (path / "model.bin").is_file():
        return _ctranslate2(path / "model.bin")
    if (path / "config.json").is_file():
        return _transformers(path)
    what = "is not there" if not path.exists() else "holds neither config.json nor model.bin"
    raise ValueError(
        f"{path} {what}: give a folder of transformers (config.json, model.safetensors) or of CTranslate2 (model.bin), "
        "or openai's file (.pt)"
    )


def _transformers(folder: Path) -> WhisperEncoderWeights:
    place = folder / "config.json"
    config = read_json(place)
    expected = (
        ("model_type", "whisper", None),
        ("activation_function", "gelu", "gelu"),
        ("scale_embedding", False, False),
    )
    for key, known, default in expected:
        if (found := config.get(key, default)) != known:
            raise ValueError(f"{place}: {key} is {found!r}, expected {known!r}: give the folder of a Whisper model")
    heads = required(config, "encoder_attention_heads", int, place)
    encoder = _encoder_of(read_folder(folder), "encoder.")
    return _weights(encoder, _TRANSFORMERS, "embed_positions.weight", heads, folder)


def _openai(file: Path) -> WhisperEncoderWeights:
    found = read_torch(file)
    encoder = _encoder_of(required(found, "model_state_dict", dict, file), "encoder.")
    heads = required(required(found, "dims", dict, file), "n_audio_head", int, file)
    return _weights(encoder, _OPENAI, "positional_embedding", heads, file)


def _ctranslate2(file: Path) -> WhisperEncoderWeights:
    kind, tensors = read_ctranslate2(file)
    if kind != "WhisperSpec":
        raise ValueError(
            f"{file} holds a {kind}, expected a WhisperSpec: convert a Whisper model with ct2-transformers-converter"
        )
    encoder = _encoder_of(tensors, "encoder/")
    if scaled := [name for name in encoder if name.endswith("_scale")]:
        raise ValueError(
            f"{file}: {scaled[0]} says that weights are in 8 bits, expected 16 or 32: convert it to float16"
        )
    heads = int(required(encoder, "num_heads", Tensor, file).item())
    del encoder["num_heads"]
    for name in [name for name in encoder if name.endswith("self_attention/linear_0/weight")]:
        _split_qkv(encoder, name.removesuffix("linear_0/weight"), file)
    return _weights(encoder, _CTRANSLATE2, "position_encodings/encodings", heads, file)


def _split_qkv(encoder: dict[str, Tensor], at: str, file: Path) -> None:
    """CTranslate2 keeps queries, keys and values in one matrix, with a bias of zeros for keys."""
    weights, biases = (encoder.pop(f"{at}linear_0/{kind}").chunk(3) for kind in ("weight", "bias"))
    for part, weight, bias in zip(("query", "key", "value"), weights, biases, strict=True):
        encoder[f"{at}{part}/weight"] = weight
        if part != "key":
            encoder[f"{at}{part}/bias"] = bias
        elif bool(bias.any()):
            raise ValueError(
                f"{file}: {at}linear_0/bias gives keys a bias, which Whisper has not: convert a Whisper model"
            )


def _encoder_of(tensors: Tensors, prefix: str) -> dict[str, Tensor]:
    """What is the encoder's, without its prefix; a head behind `model.` or not."""
    found = {name.removeprefix("model."): tensor for name, tensor in tensors.items()}
    return {name.removeprefix(prefix): tensor for name, tensor in found.items() if name.startswith(prefix)}


def _weights(
    encoder: dict[str, Tensor], patterns: "Patterns", positions: str, heads: int, place: Path
) -> WhisperEncoderWeights:
    given = encoder.pop(positions, None)
    renamed: dict[str, Tensor] = {}
    for name, tensor in encoder.items():
        ours = _renamed(name, patterns)
        if ours is None:
            raise ValueError(
                f"{place}: {name} of shape {tuple(tensor.shape)} is no tensor of Whisper's encoder: "
                "give a plain Whisper, with adapters merged into its weights"
            )
        renamed[ours] = tensor.float()
    if missing := sorted(_expected(renamed) - renamed.keys()):
        raise ValueError(
            f"{place} lacks {', '.join(missing[:3])} of Whisper's encoder: copy it again, or give a Whisper model"
        )
    if given is not None:
        _require_sinusoids(given, place, positions)
    width = renamed["stem.conv2.weight"].shape[0]
    if heads < 1 or width % heads:
        raise ValueError(f"{place}: {heads} heads do not share a width of {width} evenly: copy it again")
    return WhisperEncoderWeights(renamed, heads)


def _expected(found: Iterable[str]) -> set[str]:
    """All names that an encoder of so many layers has."""
    ends = {name.split(".", 2)[2] for name in found if name.startswith("layers.")}
    layers = {int(name.split(".")[1]) for name in found if name.startswith("layers.")}
    stem = {f"stem.{conv}.{t}" for conv in ("conv1", "conv2") for t in ("weight", "bias")}
    every = {f"layers.{i}.{end}" for i in range(max(layers, default=0) + 1) for end in ends | _LAYER}
    return stem | every | {"norm.weight", "norm.bias"}


_LAYER = {
    *(f"{norm}.{t}" for norm in ("attention_norm", "feed_forward_norm") for t in ("weight", "bias")),
    *(f"attention.{part}.weight" for part in ("query", "key", "value", "out")),
    *(f"attention.{part}.bias" for part in ("query", "value", "out")),
    *(f"{part}.{t}" for part in ("expand", "contract") for t in ("weight", "bias")),
}


def _require_sinusoids(given: Tensor, place: Path, name: str) -> None:
    """Positions are computed, not stored: those of a model that has learnt others are refused."""
    expected = SinusoidalPositions(given.shape[1])(given.shape[0])
    apart = float((given.float() - expected).abs().max())
    if apart > POSITIONS_TOLERANCE:
        raise ValueError(
            f"{place}: {name} is up to {apart:.2g} away from Whisper's sinusoids, expected at most "
            f"{POSITIONS_TOLERANCE:g}: give a Whisper whose positions were not trained"
        )


Patterns = Mapping[str, str | Callable[[re.Match[str]], str]]


def _renamed(name: str, patterns: Patterns) -> str | None:
    for pattern, ours in patterns.items():
        if match := re.fullmatch(pattern, name):
            return match.expand(ours) if isinstance(ours, str) else ours(match)
    return None


_TRANSFORMERS: Patterns = {
    r"(conv[12])\.(weight|bias)": r"stem.\1.\2",
    r"layers\.(\d+)\.self_attn\.q_proj\.(weight|bias)": r"layers.\1.attention.query.\2",
    r"layers\.(\d+)\.self_attn\.k_proj\.weight": r"layers.\1.attention.key.weight",
    r"layers\.(\d+)\.self_attn\.v_proj\.(weight|bias)": r"layers.\1.attention.value.\2",
    r"layers\.(\d+)\.self_attn\.out_proj\.(weight|bias)": r"layers.\1.attention.out.\2",
    r"layers\.(\d+)\.self_attn_layer_norm\.(weight|bias)": r"layers.\1.attention_norm.\2",
    r"layers\.(\d+)\.final_layer_norm\.(weight|bias)": r"layers.\1.feed_forward_norm.\2",
    r"layers\.(\d+)\.fc1\.(weight|bias)": r"layers.\1.expand.\2",
    r"layers\.(\d+)\.fc2\.(weight|bias)": r"layers.\1.contract.\2",
    r"layer_norm\.(weight|bias)": r"norm.\1",
}
_OPENAI: Patterns = {
    r"(conv[12])\.(weight|bias)": r"stem.\1.\2",
    r"blocks\.(\d+)\.attn\.(query|value|out)\.(weight|bias)": r"layers.\1.attention.\2.\3",
    r"blocks\.(\d+)\.attn\.key\.weight": r"layers.\1.attention.key.weight",
    r"blocks\.(\d+)\.attn_ln\.(weight|bias)": r"layers.\1.attention_norm.\2",
    r"blocks\.(\d+)\.mlp_ln\.(weight|bias)": r"layers.\1.feed_forward_norm.\2",
    r"blocks\.(\d+)\.mlp\.0\.(weight|bias)": r"layers.\1.expand.\2",
    r"blocks\.(\d+)\.mlp\.2\.(weight|bias)": r"layers.\1.contract.\2",
    r"ln_post\.(weight|bias)": r"norm.\1",
}


def _norm_of(match: re.Match[str]) -> str:
    layer, part, kind = match.groups()
    norm = {"self_attention": "attention_norm", "ffn": "feed_forward_norm"}[part]
    return f"layers.{layer}.{norm}.{'weight' if kind == 'gamma' else 'bias'}"


_CTRANSLATE2: Patterns = {
    r"(conv[12])/(weight|bias)": r"stem.\1.\2",
    r"layer_(\d+)/self_attention/(query|value)/(weight|bias)": r"layers.\1.attention.\2.\3",
    r"layer_(\d+)/self_attention/key/weight": r"layers.\1.attention.key.weight",
    r"layer_(\d+)/self_attention/linear_1/(weight|bias)": r"layers.\1.attention.out.\2",
    r"layer_(\d+)/(self_attention|ffn)/layer_norm/(gamma|beta)": _norm_of,
    r"layer_(\d+)/ffn/linear_0/(weight|bias)": r"layers.\1.expand.\2",
    r"layer_(\d+)/ffn/linear_1/(weight|bias)": r"layers.\1.contract.\2",
    r"layer_norm/(gamma|beta)": lambda match: f"norm.{'weight' if match[1] == 'gamma' else 'bias'}",
}
