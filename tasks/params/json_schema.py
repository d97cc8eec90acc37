"""The JSON schema of params.yaml, for editors: it completes keys, shows their descriptions, and underlines a typo.

It says what a key may hold by itself. What must hold between keys `kd check` alone knows (`tasks.params.checks`).
Alternatives are told apart by `if` and `then`, not by `oneOf`: so that a mistake is named where it stands, and not as
"is not valid under any of the given schemas".
"""

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from tasks.params.pipeline import READ_BY_DVC, Params

FILE = "params.schema.json"
OF_ONE_TYPE = {
    "type", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "pattern",
    "items", "prefixItems", "minItems", "maxItems", "additionalProperties", "propertyNames", "minProperties",
}  # fmt: skip
"""Keywords that say nothing of values of other types, so that alternatives of unlike types stand in one schema."""

MUST_BE_WRITTEN = "; must be written in params.yaml, since DVC reads it there"


def params_schema() -> dict[str, Any]:
    """The schema as draft 2020-12 has it."""
    found = plain_schema()
    for place, key in _read_by_dvc(found):
        place["required"] = [*place["required"], key]
    about = "What params.yaml may hold. Written by `kd schema`; `kd check` looks at what must hold between keys, too."
    return for_editors(found, "params.yaml", about)


def for_editors(schema: dict[str, Any], title: str, about: str) -> dict[str, Any]:
    """A schema of pydantic's as one that names a mistake where it stands, with its dialect."""
    told_apart = {key: value for key, value in _told_apart(schema).items() if key != "description"}
    return {"$schema": GenerateJsonSchema.schema_dialect, "title": title, "description": about, **told_apart}


def plain_schema() -> dict[str, Any]:
    """The schema as pydantic has it, with `discriminator` where a key chooses between alternatives."""
    found = untitled_schema(Params)
    for place, key in _read_by_dvc(found):
        place["properties"][key]["description"] += MUST_BE_WRITTEN
    return found


def untitled_schema(model: type[BaseModel]) -> dict[str, Any]:
    """pydantic's schema of a model, without titles that only repeat a name."""
    return model.model_json_schema(schema_generator=_Untitled)


def _read_by_dvc(schema: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """The section of each key that DVC reads, and the key's name in it."""
    for section, path, _ in READ_BY_DVC:
        yield schema if section is Params else schema["$defs"][section.__name__], path.rpartition(".")[2]


def schema_text() -> str:
    """The schema as the file has it."""
    return schema_file(params_schema())


def schema_file(schema: dict[str, Any]) -> str:
    """A schema as a file has it."""
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


class _Untitled(GenerateJsonSchema):
    """Without titles that only repeat the key, or the name of a class."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def model_schema(self, schema: Any) -> dict[str, Any]:
        found = super().model_schema(schema)
        found.pop("title", None)
        return found


def _told_apart(node: Any) -> Any:
    """The same with every choice between schemas as one that names the mistake."""
    if isinstance(node, list):
        return [_told_apart(part) for part in node]
    if not isinstance(node, dict):
        return node
    found = {key: value if key == "default" else _told_apart(value) for key, value in node.items()}
    if "discriminator" in found:
        return _by_tag(found)
    for choice in ("anyOf", "oneOf"):
        if choice in found:
            return _by_type(found, found.pop(choice))
    return found


def _by_tag(node: dict[str, Any]) -> dict[str, Any]:
    """One key chooses the alternative, which the rest must fit."""
    tag = node.pop("discriminator")
    del node["oneOf"]
    key, mapping = tag["propertyName"], tag["mapping"]
    chosen = [
        {"if": {"properties": {key: {"const": name}}, "required": [key]}, "then": {"$ref": place}}
        for name, place in mapping.items()
    ]
    return {**node, "type": "object", "required": [key], "properties": {key: {"enum": [*mapping]}}, "allOf": chosen}


def _by_type(node: dict[str, Any], choices: list[dict[str, Any]]) -> dict[str, Any]:
    """The type chooses, such as between a number, a mapping and null; each type occurs once."""
    types = [choice.get("type", "object") for choice in choices]  # a reference is to a section
    assert len(set(types)) == len(types), f"types do not tell {choices} apart"
    found, apart = {**node, "type": types}, []
    for of_type, choice in zip(types, choices, strict=True):
        if choice.keys() <= OF_ONE_TYPE:
            found |= {key: value for key, value in choice.items() if key != "type"}
        else:
            apart.append({"if": {"type": of_type}, "then": choice})
    return {**found, "allOf": apart} if apart else found
