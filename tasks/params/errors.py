"""Turns a pydantic error into one plain line for each mistake, with the nearest valid key."""

from collections.abc import Iterable
from difflib import get_close_matches
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from kd.config.renamed import RENAMED, renamed_value

MISSING = "missing: this key is required"
MOST_LINES, LINE_CHARACTERS, VALUE_CHARACTERS = 40, 480, 100
MOST_EXPLAINED = 5 * MOST_LINES
"""Mistakes that are put into plain words; of thousands, that would take longer than anybody waits."""


class ParamsError(ValueError):
    """Wrong parameters; `lines` has one line for each mistake, of at most 480 characters, and at most 40 of them."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = [format_value(line, LINE_CHARACTERS, plain=True) for line in lines[:MOST_LINES]]
        if len(lines) > MOST_LINES:
            self.lines.append(f"and {len(lines) - MOST_LINES} more")
        super().__init__("\n".join(self.lines))


def format_value(value: Any, most: int = VALUE_CHARACTERS, *, plain: bool = False) -> str:
    """A value as one line of print of at most so many characters; plain: text without quotes around it."""
    text = value if plain and isinstance(value, str) else repr(value)
    if len(text) > most:
        text = f"{text[: most - 24]} … ({len(text):,} characters)"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)[:most]


def explain(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """One line for each mistake: path of the key, what was found, what was expected."""
    lines: list[str] = []
    misspelt: set[str] = set()  # the keys that are missing because their names are written otherwise
    details = error.errors()
    for detail in details[:MOST_EXPLAINED]:
        path, holders = _readable_path(detail["loc"], model, names_key=detail["type"] in ("extra_forbidden", "missing"))
        message = detail["msg"].removeprefix("Value error, ")
        if detail["type"] == "value_error" and not path:
            lines.extend(message.splitlines())
            continue
        key = str(detail["loc"][-1]) if detail["loc"] else ""
        if detail["type"] == "extra_forbidden":
            valid = sorted({field.alias or name for h in holders for name, field in h.model_fields.items()})
            near = get_close_matches(key[:VALUE_CHARACTERS], valid, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"valid keys: {', '.join(valid)}"
            renamed = [name for name in (RENAMED.get(key),) if name in valid]
            message = f"renamed to '{renamed[0]}'" if renamed else f"unknown key; {hint}"
            misspelt |= {f"{'.'.join([*path.split('.')[:-1], name])}: {MISSING}" for name in [*near, *renamed]}
        elif detail["type"] == "missing":
            message = MISSING
        elif detail["type"] in ("union_tag_invalid", "union_tag_not_found"):
            path, message = _wrong_tag(path, detail["ctx"])
        elif detail["type"] == "boolean_number":
            key = detail["ctx"]["key"]
            path, message = f"{path}.{key}".lstrip("."), f"{message}, found {format_value(detail['input'][key])}"
        elif new := renamed_value(key, detail["input"]):
            message = f"'{detail['input']}' is renamed to '{new}'"
        elif detail["type"] != "value_error":
            message = f"{_in_yaml_terms(message)}, found {format_value(detail['input'])}"
        lines.append(f"{format_value(path, 200, plain=True)}: {message}" if path else f"the file: {message}")
    rest = [f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in details[MOST_EXPLAINED:]]
    return [line for line in dict.fromkeys([*lines, *rest]) if line not in misspelt]


def _wrong_tag(path: str, context: dict[str, Any]) -> tuple[str, str]:
    """Path and message where the key that chooses between alternatives is wrong or missing."""
    key = context["discriminator"].strip("'")
    if "tag" not in context:
        return f"{path}.{key}", MISSING
    found, valid = context["tag"], [tag.strip("' ") for tag in context["expected_tags"].split(",")]
    hint = did_you_mean(found[:VALUE_CHARACTERS], valid, cutoff=0.5)
    return f"{path}.{key}", f"'{format_value(found, plain=True)}' is unknown; {hint}there are {', '.join(valid)}"


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """`did you mean 'x'? `, or nothing. cutoff: how alike they must be, from 0 to 1."""
    near = get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return f"did you mean '{near[0]}'? " if near else ""


def _in_yaml_terms(message: str) -> str:
    message = f"{message[0].lower()}{message[1:]}".partition(" or instance of")[0].partition(" after validation")[0]
    return (
        message.replace("valid tuple", "list").replace("valid dictionary", "mapping").replace("dictionary", "mapping")
    )


def _readable_path(
    loc: tuple[int | str, ...], model: type[BaseModel], *, names_key: bool
) -> tuple[str, list[type[BaseModel]]]:
    """The dotted path as written in YAML (without pydantic's union tags), and the models at its end.

    names_key: the last part is a key of the file, even where it is spelled like a tag.
    """
    holders: list[type[BaseModel]] = [model]
    inside: list[type[BaseModel]] = []
    mapping_key_next = False
    parts: list[str] = []
    for i, part in enumerate(loc):
        last = i == len(loc) - 1
        if isinstance(part, str) and part.startswith("["):  # tags of pydantic and of kd.config
            continue
        if mapping_key_next or isinstance(part, int):
            parts.append(str(part))
            mapping_key_next = False
            continue
        matching = [h for h in holders if _is_tag(h, part)]
        if matching and not (last and names_key):
            holders = matching
            continue
        annotations = [h.model_fields[part].annotation for h in holders if part in h.model_fields]
        if not annotations and not last:
            continue
        parts.append(part)
        if annotations:
            inside = [m for a in annotations for m in _models_in(a)]
            mapping_key_next = any(get_origin(a) is dict for a in annotations)
            if not last:
                holders = inside or holders
    return ".".join(parts), holders


def _is_tag(model: type[BaseModel], tag: str) -> bool:
    """Whether `tag` is the value by which a discriminated union chooses this model."""
    return any(tag in get_args(field.annotation) for field in model.model_fields.values())


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Union, UnionType) or get_args(annotation):
        return [m for a in get_args(annotation) for m in _models_in(a)]
    return []
