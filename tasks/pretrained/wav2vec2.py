"""wav2vec 2.0, HuBERT and WavLM from the files of others: transformers' folders, torchaudio's models.

Every name is understood or refused by name; what only pre-training needs (quantisers, masks) is left out.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from kd.config.frontend import FrontEndSettings
from kd.config.wav2vec2 import KERNELS, STRIDES, Wav2Vec2Settings
from kd.models.wav2vec2 import Wav2Vec2Encoder
from tasks.pretrained.encoder_weights import CTCHead, as_float
from tasks.pretrained.wavlm_gates import GATE_OUTPUTS, of_each_head
from tasks.pretrained.weight_files import Tensors, read_folder, read_json

CALLED = {"wav2vec2": "wav2vec 2.0's encoder", "hubert": "HuBERT's encoder", "wavlm": "WavLM's encoder"}
"""By transformers' model_type."""
KNOWN = {
    "hidden_act": "gelu",
    "feat_extract_activation": "gelu",
    "layer_norm_eps": 1e-5,
    "add_adapter": False,
    "adapter_attn_dim": None,
    "conv_pos_batch_norm": False,
}
"""What config.json may say, where it says it."""
WIDTHS = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
"""With transformers' defaults, which it leaves out of config.json."""
LEFT_OUT = re.compile(r"(masked_spec_embed|quantizer\..*|project_(q|hid)\..*|.*\.k_proj\.bias|lm_head\..*|aux\..*)$")


@dataclass(frozen=True)
class Wav2Vec2Weights:
    """Tensors in float32 by the names of kd.models.wav2vec2."""

    tensors: dict[str, Tensor]
    shape: Wav2Vec2Settings
    called: str
    head: CTCHead | None

    @property
    def frontend(self) -> FrontEndSettings:
        return FrontEndSettings(kind="waveform")

    def settings(self, pooling: int = 1, dropout: float = 0.0) -> Wav2Vec2Settings:
        """Of an encoder of this shape."""
        return self.shape.model_copy(update={"pooling": pooling, "dropout": dropout})


def read_wav2vec2(folder: Path) -> Wav2Vec2Weights:
    """Of a folder of transformers. Raises ValueError, which names the file or the key that is not understood."""
    place = folder / "config.json"
    config = read_json(place)
    kind = config.get("model_type")
    if kind not in CALLED:
        raise ValueError(f"{place}: model_type is {kind!r}, expected {', '.join(CALLED)}: give a folder of one of them")
    for key, known in KNOWN.items():
        if (found := config.get(key, known)) != known:
            raise ValueError(f"{place}: {key} is {found!r}, expected {known!r}: give another model")
    shape = _shape_of(config, kind, place)
    front = folder / "preprocessor_config.json"
    scaled = read_json(front).get("do_normalize", True) if front.is_file() else True
    if not scaled and shape.extractor_norm == "layer":  # a group norm takes offset away, and gain above its eps
        raise ValueError(
            f"{front}: do_normalize is false, but samples are always scaled here: give a model whose samples are, too"
        )
    tensors = {name.removeprefix(f"{kind}."): tensor for name, tensor in read_folder(folder).items()}
    return Wav2Vec2Weights(
        ours_of(tensors, shape, place), shape, CALLED[kind], _head_of(tensors, config, folder, shape.width)
    )


def _shape_of(config: Mapping[str, Any], kind: str, place: Path) -> Wav2Vec2Settings:
    width, layers, heads, feed_forward = (config.get(key, default) for key, default in WIDTHS.items())
    groups = config.get("num_conv_pos_embedding_groups", 16)
    for key, parts in (("num_attention_heads", heads), ("num_conv_pos_embedding_groups", groups)):
        if not isinstance(width, int) or not isinstance(parts, int) or parts < 1 or width % parts:
            raise ValueError(f"{place}: {key} {parts} do not share a hidden_size of {width} evenly: copy it again")
    gated = {
        "position_buckets": config.get("num_buckets", 320),
        "position_distance": config.get("max_bucket_distance", 800),
    }
    try:
        return Wav2Vec2Settings.model_validate(
            {
                "channels": config.get("conv_dim", [512] * len(KERNELS)),
                "kernels": config.get("conv_kernel", KERNELS),
                "strides": config.get("conv_stride", STRIDES),
                "conv_bias": config.get("conv_bias", False),
                "extractor_norm": config.get("feat_extract_norm", "group"),
                "projection_norm": kind != "hubert" or config.get("feat_proj_layer_norm", True),
                "width_per_group": width // groups,
                "position_groups": groups,
                "position_kernel": config.get("num_conv_pos_embeddings", 128),
                **(gated if kind == "wavlm" else {}),
                "layers": layers,
                "heads": heads,
                "head_dim": width // heads,
                "feed_forward": feed_forward,
                "norm_first": config.get("do_stable_layer_norm", False),
            }
        )
    except ValidationError as error:
        detail = error.errors()[0]
        where = ".".join(map(str, detail["loc"]))
        raise ValueError(f"{place} says of {where}: {detail['msg']}: copy it again, or give another model") from None


def _head_of(tensors: Tensors, config: Mapping[str, Any], folder: Path, width: int) -> CTCHead | None:
    """None where there is no head, or nothing that says whose units it has."""
    if "lm_head.weight" not in tensors or not (folder / "vocab.json").is_file():
        return None
    if "lm_head.bias" not in tensors:
        raise ValueError(f"{folder} lacks lm_head.bias: copy it again, or give another model")
    weight, bias, ids = tensors["lm_head.weight"], tensors["lm_head.bias"], read_json(folder / "vocab.json")
    _require_shape("lm_head.weight", weight, (*weight.shape[:1], width), folder)
    _require_shape("lm_head.bias", bias, (len(weight),), folder)
    blank = config.get("pad_token_id", 0)
    if not all(isinstance(index, int) and 0 <= index < len(weight) for index in (blank, *ids.values())):
        raise ValueError(
            f"{folder / 'vocab.json'} does not number the {len(weight)} units of lm_head, of one language: give that "
            "vocabulary, or remove the file and use head: new"
        )
    labels = {index: label for label, index in ids.items()}
    order = [blank, *(index for index in range(len(weight)) if index != blank)]
    return CTCHead(weight[order].float(), bias[order].float(), tuple(labels.get(index, "") for index in order))


def ours_of(tensors: Tensors, shape: Wav2Vec2Settings, place: object) -> dict[str, Tensor]:
    """Tensors by our names, of transformers' names without the model's prefix. Raises ValueError by name."""
    found = _folded(as_float({name: t for name, t in tensors.items() if not LEFT_OUT.match(name)}), shape, place)
    try:
        with torch.device("meta"):
            expected = {name: t.shape for name, t in Wav2Vec2Encoder(shape, 1).state_dict().items()}
    except RuntimeError as error:  # of sizes whose product is no number of 64 bits
        raise ValueError(f"{place} has sizes of no model: {str(error).splitlines()[0]}: copy it again") from None
    renamed = {_renamed(name, shape, tensor, place): tensor.contiguous() for name, tensor in found.items()}
    if missing := sorted(expected.keys() - renamed.keys()):
        raise ValueError(f"{place} lacks {', '.join(missing[:3])}: copy it again, or give another model")
    for name, tensor in renamed.items():
        _require_shape(name, tensor, tuple(expected[name]) if name in expected else None, place)
    return renamed


def _require_shape(name: str, tensor: Tensor, wanted: tuple[int, ...] | None, place: object) -> None:
    if tuple(tensor.shape) != wanted:
        raise ValueError(
            f"{place}: {name} has the shape {tuple(tensor.shape)}, expected {wanted or 'none'}: copy it again"
        )


NAMES = {
    r"feature_extractor\.conv_layers\.(\d+)\.conv\.(weight|bias)": r"extractor.layers.\1.conv.\2",
    r"feature_extractor\.conv_layers\.(\d+)\.layer_norm\.(weight|bias)": r"extractor.layers.\1.norm.\2",
    r"feature_projection\.layer_norm\.(weight|bias)": r"projection_norm.\1",
    r"feature_projection\.projection\.(weight|bias)": r"projection.\1",
    r"encoder\.pos_conv_embed\.conv\.(weight|bias)": r"positions.\1",
    r"encoder\.layers\.(\d+)\.attention\.q_proj\.(weight|bias)": r"layers.\1.attention.query.\2",
    r"encoder\.layers\.(\d+)\.attention\.k_proj\.(weight)": r"layers.\1.attention.key.\2",
    r"encoder\.layers\.(\d+)\.attention\.v_proj\.(weight|bias)": r"layers.\1.attention.value.\2",
    r"encoder\.layers\.(\d+)\.attention\.out_proj\.(weight|bias)": r"layers.\1.attention.out.\2",
    r"encoder\.layers\.(\d+)\.layer_norm\.(weight|bias)": r"layers.\1.attention_norm.\2",
    r"encoder\.layers\.(\d+)\.feed_forward\.intermediate_dense\.(weight|bias)": r"layers.\1.expand.\2",
    r"encoder\.layers\.(\d+)\.feed_forward\.output_dense\.(weight|bias)": r"layers.\1.contract.\2",
    r"encoder\.layers\.(\d+)\.final_layer_norm\.(weight|bias)": r"layers.\1.feed_forward_norm.\2",
    r"(layers\.\d+\.positions\.(?:table|weight|bias|scale))": r"\1",
}


def _renamed(name: str, shape: Wav2Vec2Settings, tensor: Tensor, place: object) -> str:
    norm = "norm" if shape.norm_first else "input_norm"
    for pattern, ours in {**NAMES, r"encoder\.layer_norm\.(weight|bias)": rf"{norm}.\1"}.items():
        if match := re.fullmatch(pattern, name):
            return match.expand(ours)
    raise ValueError(
        f"{place}: {name} of shape {tuple(tensor.shape)} is no tensor of wav2vec 2.0, HuBERT or WavLM: give a plain "
        "model, with adapters merged into its weights"
    )


def _folded(found: dict[str, Tensor], shape: Wav2Vec2Settings, place: object) -> dict[str, Tensor]:
    """Weight norm folded into the positional convolution, and WavLM's positions given to each head."""
    at = "encoder.pos_conv_embed.conv"
    for size, direction in (
        ("weight_g", "weight_v"),
        ("parametrizations.weight.original0", "parametrizations.weight.original1"),
    ):
        if f"{at}.{size}" in found and f"{at}.{direction}" in found:
            size_11K, direction_DGK = found.pop(f"{at}.{size}"), found.pop(f"{at}.{direction}")
            group, kernel = shape.width_per_group, shape.position_kernel
            _require_shape(f"{at}.{size}", size_11K, (1, 1, kernel), place)
            _require_shape(f"{at}.{direction}", direction_DGK, (shape.width, group, kernel), place)
            found[f"{at}.weight"] = direction_DGK * (size_11K / direction_DGK.norm(dim=(0, 1), keepdim=True))
    if shape.position_buckets is None:
        return found
    table = found.pop("encoder.layers.0.attention.rel_attn_embed.weight", None)
    for i, heads in enumerate(shape.heads):
        gate = f"encoder.layers.{i}.attention.gru_rel_pos"
        try:
            weight, bias, scale = (found.pop(f"{gate}_{part}") for part in ("linear.weight", "linear.bias", "const"))
        except KeyError as error:
            raise ValueError(f"{place} lacks {error}: copy it again, or give another model") from None
        _require_shape(f"{gate}_linear.weight", weight, (2 * GATE_OUTPUTS, shape.head_dim), place)
        _require_shape(f"{gate}_linear.bias", bias, (2 * GATE_OUTPUTS,), place)
        _require_shape(f"{gate}_const", scale, (1, heads, 1, 1), place)
        if table is not None:
            found[f"layers.{i}.positions.table"] = table
        ours = f"layers.{i}.positions"
        found[f"{ours}.weight"], found[f"{ours}.bias"] = of_each_head(weight, bias, heads)
        found[f"{ours}.scale"] = scale.reshape(-1)
    return found
