"""What dvc.yaml says of one stage: the files and parameters it depends on. Read without DVC, which is slow to load."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.strict_yaml import read_yaml


@dataclass(frozen=True)
class StageSpec:
    """deps: files and folders; params: dotted keys of params.yaml."""

    deps: tuple[Path, ...]
    params: tuple[str, ...]


def read_spec(root: Path, command: str, name: str = "") -> StageSpec:
    """The spec of the stage whose command is `python -m tasks COMMAND [NAME]`.

    Raises ValueError if dvc.yaml has no such stage.
    """
    graph = read_yaml(root / "dvc.yaml")
    params = read_yaml(root / "params.yaml")
    params = {key: value for default in graph.get("vars", ()) for key, value in default.items()} | params
    wanted = f"python -m tasks {command} {name}".strip()
    for stage in graph["stages"].values():
        body = stage.get("do", stage)
        item = params[_group(stage)].get(name) if "do" in stage else None
        values = {**params, "key": name, "item": item or {}}
        if (item is None) == ("do" in stage) or _fill(body["cmd"], values) != wanted:
            continue
        return StageSpec(
            deps=tuple(Path(_fill(dep, values)) for dep in body.get("deps", ())),
            params=tuple(_fill(key, values) for key in body.get("params", ())),
        )
    raise ValueError(f"dvc.yaml has no stage that runs `{wanted}`. `dvc stage list` shows those it has")


def _group(stage: Mapping[str, Any]) -> str:
    """The section of params.yaml that a stage has one of each for: `students` of `${students}`."""
    return re.sub(r"\$\{(\w+)\}", r"\1", stage["foreach"])


def look_up(values: Mapping[str, Any], key: str) -> Any:
    """The value at a dotted key."""
    found: Any = values
    for part in key.split("."):
        found = found[part]
    return found


def _fill(text: str, values: Mapping[str, Any]) -> str:
    """Put values in place of `${dotted.key}`, as DVC does."""
    return re.sub(r"\$\{([\w.-]+)\}", lambda match: str(look_up(values, match[1])), text)
