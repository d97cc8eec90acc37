"""Studies and searches: a whole params.yaml, or the path of one, and what is set in it by dotted key."""

from pathlib import Path
from typing import Any

from tasks.params.dotted import put
from tasks.params.errors import ParamsError, shown
from tasks.params.shape import require_shape
from tasks.params.strict_yaml import read_yaml


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
        raise ParamsError([f"params: should be a mapping, or the path of one, found {shown(data['params'])}"])
    overrides = data.get("overrides", {})
    try:
        for key, value in overrides.items() if isinstance(overrides, dict) else ():
            put(data["params"], key, value)
    except KeyError as error:
        raise ParamsError([f"overrides.{error.args[0]}"]) from None
    require_shape(data["params"])
    return data
