"""Studies and searches: a whole params.yaml, or the path of one, and what is set in it by dotted key.

Such a key is `students.small.operators.0.sparsity`: items of lists go by their number.
"""

from pathlib import Path
from typing import Any

from tasks.params.errors import ParamsError, format_value
from tasks.params.shape import require_shape
from tasks.params.strict_yaml import read_yaml

ABOUT_PARAMS = "a whole params.yaml, or the path of one from the project's folder"
ABOUT_OVERRIDES = "set in params first, by dotted key, such as students.small.operators.0.sparsity"
MAPPING_OR_PATH = {"anyOf": [{"type": "object", "additionalProperties": True}, {"type": "string"}]}
"""What `params` is in the file, in the words of JSON schema; it is a mapping once that is read."""

_CORRECT = "correct the path in overrides"


def read_with_overrides(file: Path) -> Any:
    """What the file holds, its `params` read from their own file where they are a path, with its `overrides` set.

    A path is read from the project's folder, from which the command is called. Raises ParamsError.
    """
    data = read_yaml(file)
    if not isinstance(data, dict) or "params" not in data:
        return data
    if isinstance(data["params"], str):
        data["params"] = read_yaml(Path(data["params"]))
    if not isinstance(data["params"], dict):
        raise ParamsError([f"params: should be a mapping, or the path of one, found {format_value(data['params'])}"])
    overrides = data.get("overrides", {})
    try:
        for key, value in overrides.items() if isinstance(overrides, dict) else ():
            put(data["params"], key, value)
    except KeyError as error:
        raise ParamsError([f"overrides.{error.args[0]}"]) from None
    require_shape(data["params"])
    return data


def put(data: Any, key: str, value: Any) -> None:
    """Set a dotted key. Raises KeyError with a sentence that names the key."""
    *path, last = key.split(".")
    for part in path:
        data = data.setdefault(part, {}) if isinstance(data, dict) else _item(data, part, key)
    if isinstance(data, list):
        _item(data, last, key)
        data[int(last)] = value
    elif isinstance(data, dict):
        data[last] = value
    else:
        raise KeyError(f"{key}: '{last}' lies in {format_value(data)}, which has no keys: {_CORRECT}")


def _item(data: Any, part: str, key: str) -> Any:
    if not isinstance(data, list):
        raise KeyError(f"{key}: '{part}' lies in {format_value(data)}, which has no keys: {_CORRECT}")
    if not (part.isascii() and part.isdigit() and len(part) < 9) or int(part) >= len(data):
        raise KeyError(f"{key}: there is no item {part} in a list of {len(data)}, whose first is 0: {_CORRECT}")
    return data[int(part)]
