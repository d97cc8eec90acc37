"""docs/params.md: every key of params.yaml with its type, default and limits, from the models that read it.

`python -m tasks.pages.params_reference` writes the page; `--check` only says whether it is up to date.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tasks.pages.generated import write_or_check
from tasks.params.json_schema import plain_schema

PAGE = Path("docs/params.md")
COMMAND = "python -m tasks.pages.params_reference"
INTRODUCTION = f"""# What params.yaml may hold

Written by `{COMMAND}` from the models in `kd/config/` and `tasks/params/`;
a test holds it to them. Where a key such as `kind` chooses between forms, each form is a section of its own, named by
that key. `NAME` is a name of your own, `[]` each entry of a list. A key without a default must be written, and one
whose meaning says so. What must hold between keys, `kd check` says.
"""
TYPES = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false", "null": "null"}
LIMITS = {
    "minimum": "≥ {}", "exclusiveMinimum": "> {}", "maximum": "≤ {}", "exclusiveMaximum": "< {}",
    "multipleOf": "a multiple of {}", "pattern": "`{}`", "minLength": "at least {} long",
    "minItems": "at least {} of them", "minProperties": "at least {} of them",
}  # fmt: skip
UNITS = {"hz": "Hz", "ms": "ms", "s": "s", "seconds": "s", "db": "dB", "dbfs": "dBFS"}
"""By the end of a key's name."""

Schema = dict[str, Any]


@dataclass
class Section:
    """A model: its heading, and the dotted paths at which it stands in params.yaml."""

    heading: str
    schema: Schema
    places: list[str] = field(default_factory=list)

    @property
    def link(self) -> str:
        """The anchor that GitHub gives the heading."""
        return re.sub(r"[^\w\- ]", "", self.heading.lower()).replace(" ", "-")


def page() -> str:
    """The whole page."""
    return reference(plain_schema(), INTRODUCTION)


def reference(schema: Schema, introduction: str) -> str:
    """The table of a model's keys below its introduction, and a section for each model that it holds."""
    sections = _sections(schema)
    tables = [_table(schema, sections)]
    for section in sections.values():
        about = " ".join(section.schema.get("description", "").split())
        places = ", ".join(f"`{place}`" for place in _briefly(section.places))
        tables.append(f"## {section.heading}\n\nIn {places}. {about}\n\n{_table(section.schema, sections)}")
    return "\n".join([introduction, *tables])


def _sections(schema: Schema) -> dict[str, Section]:
    """Each model by its name, in the order in which a reader of params.yaml meets them."""
    found: dict[str, Section] = {}
    used: set[str] = set()

    def visit(name: str, key: str, form: str, path: str) -> None:
        if name not in found:
            heading = f"{key}, {form}" if form else key
            if heading in used:
                heading = f"{path}, {form}" if form else path
            used.add(heading)
            found[name] = Section(heading, schema["$defs"][name])
        if path not in found[name].places:
            found[name].places.append(path)
        follow(found[name].schema, f"{path}.")

    def follow(holder: Schema, prefix: str) -> None:
        for key, value in holder.get("properties", {}).items():
            for name, form, rest in _models(value):
                visit(name, key, form, f"{prefix}{key}{rest}")

    follow(schema, "")
    return found


def _briefly(places: list[str]) -> list[str]:
    """The shortest first, and no list of what may also stand alone."""
    return sorted((place for place in places if "[]" not in place or place.replace("[]", "") not in places), key=len)


def _models(value: Schema) -> Iterator[tuple[str, str, str]]:
    """Models that a value may be: name, the form that a key chooses (`kind: digits`), and the rest of their path."""
    if "$ref" in value:
        yield _name(value["$ref"]), "", ""
    elif "discriminator" in value:
        key = value["discriminator"]["propertyName"]
        for name, tags in _forms(value).items():
            yield name, f"{key}: {', '.join(tags)}", ""
    for choice in value.get("anyOf", []) + ([] if "discriminator" in value else value.get("oneOf", [])):
        yield from _models(choice)
    for key, rest in (("items", "[]"), ("additionalProperties", ".NAME")):
        if isinstance(value.get(key), dict):
            yield from ((name, form, f"{rest}{more}") for name, form, more in _models(value[key]))


def _forms(value: Schema) -> dict[str, list[str]]:
    """Models that a key chooses between, each with the values of that key."""
    forms: dict[str, list[str]] = {}
    for tag, place in value["discriminator"]["mapping"].items():
        forms.setdefault(_name(place), []).append(tag)
    return forms


def _name(place: str) -> str:
    return place.removeprefix("#/$defs/")


def _table(holder: Schema, sections: dict[str, Section]) -> str:
    lines = ["| key | type | default | limits | meaning |", "|---|---|---|---|---|"]
    for key, value in holder.get("properties", {}).items():
        default = f"`{_default(value, sections)}`" if "default" in value and "const" not in value else "—"
        cells = [f"`{key}`", _type(value, sections), default, ", ".join(_limits(value)), _meaning(key, value)]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _meaning(key: str, value: Schema) -> str:
    if "description" not in value:
        return "names this form" if "const" in value else "names this form, and which of them"
    unit = UNITS.get(key.rpartition("_")[2]) if "_" in key else None
    about: str = value["description"]
    return f"{about} ({unit})" if unit else about


def _type(value: Schema, sections: dict[str, Section]) -> str:
    if value in (True, {}):
        return "any value"
    if "$ref" in value:
        section = sections[_name(value["$ref"])]
        return f"[{section.heading}](#{section.link})"
    if "discriminator" in value:
        links = [f"[{', '.join(tags)}](#{sections[name].link})" for name, tags in _forms(value).items()]
        return f"`{value['discriminator']['propertyName']}`: {', '.join(links)}"
    if choices := value.get("anyOf", value.get("oneOf")):
        types = dict.fromkeys(_type(choice, sections) for choice in choices)
        return " or ".join(name for name in types if name != TYPES["integer"] or TYPES["number"] not in types)
    if "const" in value or "enum" in value:
        return ", ".join(f"`{one}`" for one in value.get("enum", [value.get("const")]))
    if "prefixItems" in value:
        return f"{len(value['prefixItems'])} {_several(value['prefixItems'][0], sections)}"
    if value["type"] == "array":
        return f"list of {_several(value['items'], sections)}"
    if value["type"] == "object":
        keys = value.get("propertyNames", {}).get("enum", ["NAME"])
        return f"mapping of {', '.join(f'`{key}`' for key in keys)} to {_type(value['additionalProperties'], sections)}"
    return "path" if value.get("format") == "path" else TYPES[value["type"]]


def _several(entry: Schema, sections: dict[str, Section]) -> str:
    one = _type(entry, sections)
    return {"whole number": "whole numbers", "number": "numbers", "text": "texts"}.get(one, one)


def _limits(value: Schema) -> list[str]:
    """In words, each once; those of the entries of a list begin with `each`."""
    found = [text.format(value[key]) for key, text in LIMITS.items() if key in value]
    if value.get("minItems") is not None and value.get("minItems") == value.get("maxItems"):
        found = []  # the type says how many
    for choice in value.get("anyOf", []) + value.get("oneOf", []):
        found += _limits(choice)
    entries = [value.get("items"), value.get("additionalProperties"), *value.get("prefixItems", [])]
    for entry in (entry for entry in entries if isinstance(entry, dict)):
        found += [limit if limit.startswith("each") else f"each {limit}" for limit in _limits(entry)]
    return list(dict.fromkeys(found))


def _default(value: Schema, sections: dict[str, Section]) -> str:
    """As one writes it in YAML, without what is a default itself."""
    return _in_yaml(_shorter(value["default"], [name for name, _, _ in _models(value)], sections))


def _shorter(default: Any, models: list[str], sections: dict[str, Section]) -> Any:
    if isinstance(default, list):
        return [_shorter(one, models, sections) for one in default]
    if not isinstance(default, dict):
        return default
    for name in models:
        keys: Schema = sections[name].schema["properties"]
        if default.keys() <= keys.keys() and all(keys[key].get("const", one) == one for key, one in default.items()):
            tags = {key for key, one in keys.items() if "const" in one}
            return {k: v for k, v in default.items() if k in tags & default.keys() or keys[k].get("default", ...) != v}
    return default


def _in_yaml(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


if __name__ == "__main__":
    sys.exit(write_or_check({PAGE: page()}, sys.argv[1:], COMMAND))
