"""The stages of dvc.yaml: which files and parameters they depend on. Read without DVC, which is slow to load."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.params.strict_yaml import read_yaml


@dataclass(frozen=True)
class StageSpec:
    """A stage, `python -m tasks COMMAND [NAME]`.

    deps: files and folders that it reads; outs: what it writes; params: dotted keys of params.yaml.
    """

    command: str
    name: str
    deps: tuple[Path, ...] = ()
    outs: tuple[Path, ...] = ()
    params: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Such as `distil-baseline`; `corpus` where there is one alone."""
        return f"{self.command}-{self.name}" if self.name else self.command

    def reads_from(self, other: "StageSpec") -> bool:
        """Whether it depends on an output of another stage, on a file in it, or on a folder that holds it."""
        return any(
            dep == out or dep.is_relative_to(out) or out.is_relative_to(dep) for dep in self.deps for out in other.outs
        )


def read_spec(root: Path, command: str, name: str = "") -> StageSpec:
    """The spec of the stage whose command is `python -m tasks COMMAND [NAME]`.

    Raises ValueError if dvc.yaml has no such stage.
    """
    for spec in specs(root / "dvc.yaml", read_yaml(root / "params.yaml")):
        if (spec.command, spec.name) == (command, name):
            return spec
    wanted = f"python -m tasks {command} {name}".strip()
    raise ValueError(f"dvc.yaml has no stage that runs `{wanted}`. `dvc stage list` shows those it has")


def specs(file: Path, params: Mapping[str, Any]) -> Iterator[StageSpec]:
    """All stages of a dvc.yaml with these parameters, in its order."""
    graph = read_yaml(file)
    for default in graph.get("vars", ()):
        params = _completed(default, params)
    for stage in graph["stages"].values():
        if "do" not in stage:
            yield _spec(stage, params)
            continue
        for key, item in look_up(params, _group(stage)).items():
            yield _spec(stage["do"], {**params, "key": key, "item": item or {}})


def _spec(body: Mapping[str, Any], values: Mapping[str, Any]) -> StageSpec:
    command, _, name = _fill(body["cmd"], values).removeprefix("python -m tasks ").partition(" ")
    written = [*body.get("outs", ()), *body.get("metrics", ())]
    outs = [next(iter(out)) if isinstance(out, Mapping) else out for out in written]
    return StageSpec(
        command=command,
        name=name,
        deps=tuple(Path(_fill(dep, values)) for dep in body.get("deps", ())),
        outs=tuple(Path(_fill(out, values)) for out in outs),
        params=tuple(_fill(key, values) for key in body.get("params", ())),
    )


def sections_of(root: Path, command: str) -> set[str]:
    """Sections of params.yaml that stages with this command depend on."""
    bodies = (stage.get("do", stage) for stage in read_yaml(root / "dvc.yaml")["stages"].values())
    ours = [body for body in bodies if f"{body['cmd']} ".startswith(f"python -m tasks {command} ")]
    return {key.partition(".")[0] for body in ours for key in body.get("params", ())}


def _group(stage: Mapping[str, Any]) -> str:
    """The dotted key of params.yaml that a stage has one of each for: `students` of `${students}`."""
    return re.sub(r"\$\{([\w.]+)\}", r"\1", stage["foreach"])


def _completed(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Values with those defaults that they lack, at any depth, as DVC completes params.yaml by `vars`."""
    deeper = (key for key, value in given.items() if isinstance(defaults.get(key), dict) and isinstance(value, dict))
    return {**defaults, **given, **{key: _completed(defaults[key], given[key]) for key in deeper}}


def look_up(values: Mapping[str, Any], key: str) -> Any:
    """The value at a dotted key."""
    found: Any = values
    for part in key.split("."):
        found = found[part]
    return found


def _fill(text: str, values: Mapping[str, Any]) -> str:
    """Put values in place of `${dotted.key}`, as DVC does."""
    return re.sub(r"\$\{([\w.-]+)\}", lambda match: str(look_up(values, match[1])), text)
