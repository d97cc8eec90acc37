"""docs/experiments.md and the schemas of studies and searches: up to date, whole, and right of our own files."""

import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tasks.experiments.reference import COMMAND, SCHEMAS, page, pages
from tasks.pages.generated import stale
from tasks.params.json_schema import untitled_schema
from tasks.params.strict_yaml import read_yaml

REPO = Path(__file__).parents[3]
OURS = [(schema, file) for schema in SCHEMAS for file in sorted((REPO / schema).parent.glob("*.yaml"))]


def test_what_is_committed_is_up_to_date() -> None:
    assert stale({REPO / file: text for file, text in pages().items()}) == [], f"run `{COMMAND}` and commit it"


@pytest.mark.parametrize("model", [model for model, _ in SCHEMAS.values()])
def test_every_key_says_what_it_means(model) -> None:
    schema = untitled_schema(model)
    sections = [schema, *schema.get("$defs", {}).values()]
    assert [s for s in sections if "description" not in s] == []
    assert [key for s in sections for key, value in s["properties"].items() if "description" not in value] == []


def test_every_link_leads_to_a_section() -> None:
    anchors = [heading.lower() for heading in re.findall(r"^## (.*)$", page(), re.MULTILINE)]
    assert anchors == ["study", "search", "space", "goal"]
    assert set(re.findall(r"\]\(#([^)]*)\)", page())) <= set(anchors)


@pytest.mark.parametrize(("schema", "file"), OURS, ids=lambda value: Path(value).stem)
def test_our_own_files_are_right_and_name_it(schema: str, file: Path) -> None:
    found = Draft202012Validator(json.loads((REPO / schema).read_text(encoding="utf-8"))).iter_errors(read_yaml(file))
    assert [error.message for error in found] == []
    first, _, _ = file.read_text(encoding="utf-8").partition("\n")
    assert first == f"# yaml-language-server: $schema={Path(schema).name}"


@pytest.mark.parametrize(
    ("schema", "change", "said"),
    [
        (
            "studies/study.schema.json",
            {"fold": "a"},
            "$: Additional properties are not allowed ('fold' was unexpected)",
        ),
        ("studies/study.schema.json", {"seeds": []}, "$.seeds: [] should be non-empty"),
        ("studies/study.schema.json", {"params": 3}, "$.params: 3 is not of type 'object', 'string'"),
        ("searches/search.schema.json", {"measure": "bytes"}, "$.measure: 'bytes' is not one of ['params', "),
        (
            "searches/search.schema.json",
            {"space": {"x": {"form": 1}}},
            "$.space.x: Additional properties are not allow",
        ),
        ("searches/search.schema.json", {"space": {"x": {"step": 0}}}, "$.space.x.step: 0 is less than or equal to"),
        ("searches/search.schema.json", {"space": {"x": {"choices": []}}}, "$.space.x.choices: [] should be non-empty"),
    ],
)
def test_a_mistake_is_named_where_it_stands(schema: str, change: dict[str, object], said: str) -> None:
    (_, file), *_ = [pair for pair in OURS if pair[0] == schema]
    validator = Draft202012Validator(json.loads((REPO / schema).read_text(encoding="utf-8")))
    found = [f"{error.json_path}: {error.message}" for error in validator.iter_errors({**read_yaml(file), **change})]
    assert found[0].startswith(said)
