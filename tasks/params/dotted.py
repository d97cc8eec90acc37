"""Dotted keys, such as `students.small.operators.0.sparsity`, of what a YAML file holds."""

from typing import Any

from tasks.params.errors import shown


def put(data: Any, key: str, value: Any) -> None:
    """Set a dotted key; list items go by their number. Raises KeyError with a sentence that names the key."""
    *path, last = key.split(".")
    for part in path:
        data = data.setdefault(part, {}) if isinstance(data, dict) else _item(data, part, key)
    if isinstance(data, list):
        _item(data, last, key)
        data[int(last)] = value
    elif isinstance(data, dict):
        data[last] = value
    else:
        raise KeyError(f"{key}: '{last}' lies in {shown(data)}, which has no keys")


def _item(data: Any, part: str, key: str) -> Any:
    if not isinstance(data, list):
        raise KeyError(f"{key}: '{part}' lies in {shown(data)}, which has no keys")
    if not (part.isascii() and part.isdigit() and len(part) < 9) or int(part) >= len(data):
        raise KeyError(f"{key}: there is no item {part} in a list of {len(data)}")
    return data[int(part)]
