"""Damaged YAML: params.yaml, presets, studies and searches, read as `kd` reads them."""

import os
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import yaml
from dvc.utils.serialize import parse_yaml as parse_as_dvc

from fuzzing.damage import damaged_bytes, misspelt, odd_text, odd_value
from fuzzing.trials import kd
from fuzzing.watching import Attempt
from tasks.params.load import load_params
from tasks.params.strict_yaml import LOADER, read_yaml
from tasks.runner.dvc_graph import look_up, read_spec

REPO = Path(__file__).parents[3]
DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
SHARES = {"params": 0.3, "presets": 0.3, "studies": 0.37, "searches": 0.03}
"""A search is checked at many points of its space, and so costs most."""
ODD_TOKENS = (
    *("nan", ".nan", ".inf", "-1", "1e22", "9" * 400, "''", "[]", "{}", "null", "*x", "&x 1", "!!int 3", "!x", ">-"),
    *("[1", "{a", "'", '"', "# no", "- 1", "? 1", ": 1", "<<: 1", "yes", "010", "1:30", "2020-01-02", "\t1", "%YAML"),
)  # fmt: skip

MOST_PLACES = 20_000  # of what one kind of damage has made large already

Place = tuple[Any, Any]
"""A mapping or a list of a document, and a key or an index of it."""


def prepared(shared: Path, room: Path) -> Attempt:
    os.chdir(room)
    for name in ("dvc.yaml", "params.yaml", "corpora", "models", "studies"):
        link = room / name
        if not link.exists():
            link.symlink_to(REPO / name)
    return attempt


def attempt(rng: Random, folder: Path) -> str:
    group = rng.choices(list(SHARES), list(SHARES.values()))[0]
    content = damaged(rng, rng.choice(_originals(group)))
    file = folder / "given.yaml"
    file.write_bytes(content)
    command = {"studies": ["study"], "searches": ["tune"]}.get(group, ["check", "--params"])
    outcome = kd([*command, str(file)])
    if group in ("params", "presets") and outcome != "exit 2":
        _means_the_same_to_dvc(content, file)
        _has_all_that_stages_depend_on(rng, content, folder)
    return f"{command[0]}: {outcome}"


def damaged(rng: Random, original: bytes) -> bytes:
    """A document with one to three kinds of damage."""
    draw = rng.random()
    if draw < 0.25:
        return damaged_bytes(rng, original)
    if draw < 0.4:
        return _damaged_lines(rng, original)
    data = deepcopy(_values(original))
    for _ in range(rng.choice((1, 1, 2, 4))):
        _damage_values(rng, data)
    content = _dumped(data, allow_unicode=rng.random() < 0.5)
    return damaged_bytes(rng, content, times=1) if rng.random() < 0.1 else content


def _dumped(data: Any, allow_unicode: bool) -> bytes:
    """By libyaml, which is fast; by Python where there are surrogates, which it does not write."""
    options = {"sort_keys": False, "allow_unicode": allow_unicode}
    try:
        text: str = yaml.dump(data, Dumper=DUMPER, **options)
    except UnicodeEncodeError:
        text = yaml.safe_dump(data, **options)
    except RecursionError:  # nested too deep to be written from values
        text = f"a: {'[' * 5_000}"
    return text.encode("utf-8", "surrogatepass")


@cache
def _values(original: bytes) -> Any:
    return yaml.load(original, LOADER)


def _damage_values(rng: Random, data: Any) -> None:
    places = list(islice(_places(data), MOST_PLACES))
    if places:
        holder, key = rng.choice(places)
        rng.choice(CHANGES)(rng, holder, key, places)


def _places(data: Any) -> Iterator[Place]:
    if isinstance(data, dict | list):
        for key in list(data) if isinstance(data, dict) else range(len(data)):
            yield data, key
            yield from _places(data[key])


def _replace(rng: Random, holder: Any, key: Any, places: list[Place]) -> None:
    holder[key] = odd_value(rng)


def _scale(rng: Random, holder: Any, key: Any, places: list[Place]) -> None:
    """A number of another size, kind or sign; of something else, a string."""
    value = holder[key]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    holder[key] = value * rng.choice((-1, 0, 10, 1_000_000, 0.5, 1.5, 1e-9)) if number else str(value)[:1_000]


def _graft(rng: Random, holder: Any, key: Any, places: list[Place]) -> None:
    """What stands elsewhere in the document: of a kind that is known, where it does not belong."""
    other, its_key = rng.choice(places)
    holder[key] = deepcopy(other[its_key])


def _remove(rng: Random, holder: Any, key: Any, places: list[Place]) -> None:
    del holder[key]


def _rename(rng: Random, holder: Any, key: Any, places: list[Place]) -> None:
    if isinstance(holder, dict):
        new = misspelt(rng, str(key)) if rng.random() < 0.7 else odd_text(rng)
        holder[new] = holder.pop(key)
    else:
        holder.insert(key, holder[key])


def _wrap(rng: Random, holder: Any, key: Any, places: list[Place]) -> None:
    holder[key] = rng.choice(([holder[key]], {"kind": holder[key]}, [holder[key]] * 2))


def _many(rng: Random, holder: Any, key: Any, places: list[Place]) -> None:
    """So many entries as the one that is there."""
    count = rng.choice((10, 300))
    if isinstance(holder, dict):
        holder.update({f"{key}_{i}": holder[key] for i in range(count)})
    else:
        holder.extend([holder[key]] * count)


CHANGES: tuple[Callable[[Random, Any, Any, list[Place]], None], ...] = (
    *(_replace, _replace, _replace, _scale, _scale, _scale, _graft, _graft, _graft, _remove, _rename, _rename),
    *(_wrap, _many),
)


def _damaged_lines(rng: Random, original: bytes) -> bytes:
    lines = original.decode().split("\n")
    for _ in range(rng.choice((1, 1, 3))):
        i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
        match rng.randrange(6):
            case 0:
                lines.insert(j, lines[i])
            case 1:
                lines[i], lines[j] = lines[j], lines[i]
            case 2:
                lines[i] = rng.choice((" ", "  ", "\t", "- ")) + lines[i]
            case 3:
                lines[i] = lines[i].lstrip()
            case 4:
                lines[i] = re.sub(r":\s.*", lambda _: f": {rng.choice(ODD_TOKENS)}", lines[i])
            case _:
                lines[i] = re.sub(r"[\w.]+", lambda m: rng.choice((m[0], m[0], rng.choice(ODD_TOKENS))), lines[i])
    return "\n".join(lines).encode()


@cache
def _originals(group: str) -> list[bytes]:
    files = [REPO / "params.yaml"] if group == "params" else sorted((REPO / group).glob("*.yaml"))
    return [file.read_bytes() for file in files]


def _means_the_same_to_dvc(content: bytes, file: Path) -> None:
    read, by_dvc = read_yaml(file), parse_as_dvc(content.decode("utf-8-sig"), file)
    assert read == by_dvc, f"read {read}, and by DVC {by_dvc}"


def _has_all_that_stages_depend_on(rng: Random, content: bytes, folder: Path) -> None:
    """A stage's entry in dvc.yaml, any stage's, can be filled in from the file."""
    (folder / "params.yaml").write_bytes(content)
    (folder / "dvc.yaml").symlink_to(REPO / "dvc.yaml")
    params = load_params(folder / "params.yaml")
    values = params.model_dump(mode="json")
    stages = [("corpus", ""), ("preprocess", ""), ("teacher", ""), ("report", "")]
    command, name = rng.choice([*stages, *(("distil", student) for student in params.students)])
    for key in read_spec(folder, command, name).params:
        look_up(values, key)
