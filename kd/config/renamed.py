"""Keys and values of settings that had another name: what files of then mean now."""

from collections.abc import Mapping
from typing import Any

RENAMED: Mapping[str, str] = {
    "rate": "lr",
    "two_way": "bidirectional",
    "clip_norm": "max_grad_norm",
    "quantised": "qat",
    "match": "distill",
    "labels": "label_weight",
    "hears": "supervision",
    "kinds": "dims",
    "kinds_by": "cross_dim",
    "gives": "output",
    "outputs": "logit_cache",
    "keep": "top_k",
    "others": "external",
    "itself": "self_distillation",
}
"""Old key -> new key, wherever a class of settings has the new one and not the old one."""

RENAMED_VALUES: Mapping[str, Mapping[str, str]] = {
    "cross_dim": {"alike": "equal"},
    "output": {"frames": "posteriors"},
    "combine": {"surest": "max_confidence"},
}
"""New key -> old value -> new value."""

_OLD_KEYS = {new: old for old, new in RENAMED.items() if old != "keep"}
"""Of any section; `top_k` was `keep` in the section of cached logits alone, and is a name of its own elsewhere."""
_OLD_VALUES = {key: {new: old for old, new in values.items()} for key, values in RENAMED_VALUES.items()} | {
    "minimise": {"valid_wer": "error", "valid_keyword_error": "error"}
}


def renamed_value(key: str, value: Any) -> str | None:
    """The new name of a value under a key (by the key's new name); None where it has none."""
    return RENAMED_VALUES.get(key, {}).get(value) if isinstance(value, str) else None


def in_new_words(settings: Mapping[str, Any]) -> dict[str, Any]:
    """One record of settings, as a model's folder of then has it, with the keys and values of now."""
    found = {RENAMED.get(key, key): value for key, value in settings.items()}
    return {key: renamed_value(key, value) or value for key, value in found.items()}


def in_old_words(data: Any) -> Any:
    """A whole params.yaml with the keys and values of then: hashes of studies and searches are taken of these.

    So their results keep their names.
    """
    if isinstance(data, list | tuple):
        return [in_old_words(item) for item in data]
    if not isinstance(data, Mapping):
        return data
    found = {}
    for key, value in data.items():
        if key == "logit_cache" and isinstance(value, Mapping):
            value = {"keep" if inner == "top_k" else inner: kept for inner, kept in value.items()}
        if isinstance(value, str):
            value = _OLD_VALUES.get(key, {}).get(value, value)
        parts = [_OLD_KEYS.get(part, part) for part in str(key).split(".")]
        found[".".join(parts) if isinstance(key, str) else key] = in_old_words(value)
    return found
