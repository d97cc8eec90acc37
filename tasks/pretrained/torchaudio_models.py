"""wav2vec 2.0, HuBERT and WavLM as torchaudio has them: the file of a bundle, or a model of its classes."""

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from kd.config.wav2vec2 import Wav2Vec2Settings
from tasks.pretrained.bundles import bundle_labels, load_bundle
from tasks.pretrained.encoder_weights import CTCHead
from tasks.pretrained.wav2vec2 import Wav2Vec2Weights, ours_of


def read_bundle(name: str, file: Path) -> Wav2Vec2Weights:
    """Of the file that torchaudio downloads for a bundle, such as HUBERT_BASE; with its CTC head where it has one.

    Raises ValueError where torchaudio knows no such bundle, or the file is another's.
    """
    import torchaudio

    bundle = getattr(torchaudio.pipelines, name, None)
    if not isinstance(bundle, torchaudio.pipelines.Wav2Vec2Bundle):
        raise ValueError(f"bundle '{name}' is none of torchaudio.pipelines: name one such as WAV2VEC2_BASE")
    labels = bundle_labels(bundle) if hasattr(bundle, "get_labels") else None
    return of_torchaudio(load_bundle(name, bundle, file), name, labels)


def of_torchaudio(model: nn.Module, called: str, labels: tuple[str, ...] | None = None) -> Wav2Vec2Weights:
    """Of a `torchaudio.models.Wav2Vec2Model`, or of what a bundle wraps around it; labels: of its head, blank first."""
    inner: Any = getattr(model, "model", model)
    shape, state = _shape_of(inner), inner.state_dict()
    tensors = _by_transformers_names(state)
    head = None
    if labels is not None and inner.aux is not None:
        head = CTCHead(state["aux.weight"].float(), state["aux.bias"].float(), labels)
    return Wav2Vec2Weights(ours_of(tensors, shape, called), shape, f"the encoder of {called}", head)


def _shape_of(inner: Any) -> Wav2Vec2Settings:
    convolutions, transformer = list(inner.feature_extractor.conv_layers), inner.encoder.transformer
    attention, positions = transformer.layers[0].attention, transformer.pos_conv_embed.conv
    heads = attention.num_heads
    gated = hasattr(attention, "gru_rel_pos_linear")
    buckets = {"position_buckets": attention.num_buckets, "position_distance": attention.max_distance} if gated else {}
    return Wav2Vec2Settings.model_validate(
        {
            "channels": [layer.conv.out_channels for layer in convolutions],
            "kernels": [layer.conv.kernel_size[0] for layer in convolutions],
            "strides": [layer.conv.stride[0] for layer in convolutions],
            "conv_bias": convolutions[0].conv.bias is not None,
            "extractor_norm": "group" if isinstance(convolutions[0].layer_norm, nn.GroupNorm) else "layer",
            "width_per_group": positions.in_channels // positions.groups,
            "position_groups": positions.groups,
            "position_kernel": positions.kernel_size[0],
            **buckets,
            "layers": len(transformer.layers),
            "heads": heads,
            "head_dim": positions.in_channels // heads,
            "feed_forward": [layer.feed_forward.intermediate_dense.out_features for layer in transformer.layers],
            "norm_first": transformer.layers[0].layer_norm_first,
        }
    )


def _by_transformers_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        name = name.replace("encoder.feature_projection.", "feature_projection.").replace(
            "encoder.transformer.", "encoder."
        )
        name = name.replace(".attention.attention.out_proj.", ".attention.out_proj.")
        if match := next(
            (end for end in ("in_proj_weight", "in_proj_bias") if name.endswith(f"attention.{end}")), None
        ):
            at = name.removesuffix(f"attention.{match}")
            for part, own in zip("qkv", tensor.chunk(3), strict=True):
                found[f"{at}{part}_proj.{match.removeprefix('in_proj_')}"] = own
            continue
        found[name] = tensor
    return found
