"""params.schema.json: it takes what we take, and names a mistake where it stands, as an editor will show it."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from given_params import GOOD, REMOVE, changed, prune_units
from jsonschema import Draft202012Validator

from tasks.params.corpora import CorpusParams
from tasks.params.json_schema import FILE, params_schema, schema_text
from tasks.params.overrides import read_with_overrides
from tasks.params.pipeline import Teacher
from tasks.params.strict_yaml import read_yaml

REPO = Path(__file__).parents[3]
PRESETS = sorted((REPO / "presets").glob("*.yaml"))
WHOLE = {"name": "default", "logit_cache": {}, "teacher.path": "models/none"}


def mistakes(data: Any) -> list[str]:
    found = Draft202012Validator(params_schema()).iter_errors(data)
    return [f"{error.json_path}: {error.message}" for error in found]


def test_it_is_a_schema_and_the_committed_one_is_up_to_date() -> None:
    Draft202012Validator.check_schema(params_schema())
    written = (REPO / FILE).read_text(encoding="utf-8")
    assert written == schema_text(), "run `kd schema` and commit what it writes"


@pytest.mark.parametrize("file", [REPO / "params.yaml", *PRESETS], ids=lambda file: file.stem)
def test_our_own_parameters_are_right_and_name_it(file: Path) -> None:
    assert mistakes(read_yaml(file)) == []
    first, _, _ = file.read_text(encoding="utf-8").partition("\n")
    name = FILE if file.parent == REPO else f"../{FILE}"
    assert first == f"# yaml-language-server: $schema={name}"


def forms_of(alternatives: Any, key: str) -> set[str]:
    return {get_args(form.model_fields[key].annotation)[0] for form in get_args(get_args(alternatives)[0])}


def test_comments_of_the_default_file_list_all_that_there_is() -> None:
    text = (REPO / "params.yaml").read_text(encoding="utf-8")
    sources = re.search(r"^  source: (\w+) +# or: ((?:\w+, )+)with a folder", text, re.M)
    assert sources
    assert {sources[1], *sources[2].strip(", ").split(", ")} == forms_of(Teacher, "source")


def test_the_table_that_the_default_file_names_has_every_corpus() -> None:
    assert re.search(
        r"^  kind: synthetic +# or one of those in docs/guide\.md#corpora$", (REPO / "params.yaml").read_text(), re.M
    )
    section = (REPO / "docs" / "guide.md").read_text(encoding="utf-8").split("\n## Corpora\n")[1].split("\n#")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.M)) == forms_of(CorpusParams, "kind")


def test_parameters_of_studies_are_right() -> None:
    for file in (REPO / "studies").glob("*.yaml"):
        params = read_with_overrides(file)["params"]
        params["teacher"] = {"path": "models/none", **params["teacher"]}
        assert mistakes({"name": "default", "logit_cache": {}, **params}) == []


def test_what_dvc_reads_must_be_written() -> None:
    assert mistakes(changed(WHOLE)) == []
    assert sorted(mistakes(GOOD)) == [
        "$.teacher: 'path' is a required property", "$: 'logit_cache' is a required property",
        "$: 'name' is a required property",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("student_trainin", {}, "$: Additional properties are not allowed ('student_trainin' was unexpected)"),
        ("corpus.kind", "manifesto", "$.corpus.kind: 'manifesto' is not one of ['common_voice', 'fsdd', "),
        ("corpus.kind", REMOVE, "$.corpus: 'kind' is a required property"),
        ("corpus.roots", "c", "$.corpus: Additional properties are not allowed ('roots' was unexpected)"),
        ("teacher.model.widht", 3, "$.teacher.model: Additional properties are not allowed ('widht' was unexpected)"),
        ("students.small.model.cell", "gruu", "$.students.small.model.cell: 'gruu' is not one of ['gru', 'lstm']"),
        ("students.cut.operators", [prune_units("hiden", sparsity=0.5)], "$.students.cut.operators[0].dims[0]: 'hi"),
        ("students.cut.operators.0.keep.hidden", 1.5, "$.students.cut.operators[0].keep.hidden: 1.5 is not of type"),
        (
            "students.cut.objective.distill",
            {"name": "soft"},
            "$.students.cut.objective.distill.name: 'soft' is not one",
        ),
        (
            "students.cut.objective.distill",
            [{"name": "dist", "t": 2}],
            "$.students.cut.objective.distill[0]: Additional",
        ),
        ("students.cut.objective.beta", {"from": 0, "too": 2}, "$.students.cut.objective.beta: Additional prop"),
        ("students.cut.objective.beta", -1, "$.students.cut.objective.beta: -1 is less than the minimum of 0"),
        ("students.cut.shrink", {"how": "gate"}, "$.students.cut.shrink.how: 'gate' is not one of ['gates', "),
        ("preprocess.trim_db", "much", "$.preprocess.trim_db: 'much' is not of type 'number', 'null'"),
        ("student_training.seed", True, "$.student_training.seed: True is not of type 'integer'"),
    ],
)
def test_a_mistake_is_named_where_it_stands(path: str, value: Any, said: str) -> None:
    """The first one found, even inside a choice of alternatives, which many a schema only calls invalid."""
    found = mistakes(changed({**WHOLE, path: value}))
    assert found[0].startswith(said)
    assert not any("under any of the given schemas" in mistake for mistake in found)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("teacher.model.hidden", 8),
        ("teacher.model.hidden", [8, 9]),
        ("students.cut.objective.beta", {"from": 0, "to": 2, "epochs": 5}),
        ("students.cut.objective.distill", [{"name": "dist"}, {"name": "features"}]),
        ("students.cut.operators.0.keep.hidden", 0.5),
        ("students.cut.operators", [{"op": "renew", "layers": "last"}]),
        ("students.cut.operators", [{"op": "renew", "layers": [0, 2]}]),
        ("students.cut.training", None),
        ("students.cut.shrink", None),
    ],
)
def test_what_has_several_forms_is_taken_in_each(path: str, value: Any) -> None:
    assert mistakes(changed({**WHOLE, path: value})) == []
