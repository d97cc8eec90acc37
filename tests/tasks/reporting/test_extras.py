"""The quantised teacher and somebody else's recognisers, judged in the same table."""

import json
from pathlib import Path

import pandas as pd
import pytest
from pydantic import ValidationError
from report_models import EVALUATION, TEACHER, make_model
from workspace import make_params

from kd.text.metrics import word_edits
from tasks.params.evaluation import ExternalTable
from tasks.params.pipeline import Params
from tasks.reporting.comparisons import compare_all, verdicts
from tasks.reporting.extras import external_recognisers, quantised_teacher
from tasks.reporting.results import write_results
from tasks.runner.paths import Paths

TEST = TEACHER.test


def with_other(file: str) -> Params:
    return make_params(evaluation={"external": {"elsewhere": {"source": "table", "path": file}}})


def write(root: Path, rows: pd.DataFrame, name: str = "transcripts.csv") -> None:
    (root / "external").mkdir(exist_ok=True)
    file = root / "external" / name
    {".csv": lambda: rows.to_csv(file, index=False), ".parquet": lambda: rows.to_parquet(file)}[file.suffix]()


def transcripts(**changes: str) -> pd.DataFrame:
    """Every utterance as it was said, in another order; but for the changes, by id."""
    texts = dict(zip(TEST["id"], TEST["reference"], strict=True)) | changes
    return pd.DataFrame({"id": list(texts)[::-1], "text": list(texts.values())[::-1]})


@pytest.mark.parametrize("name", ["transcripts.csv", "transcripts.parquet"])
def test_errors_are_counted_as_those_of_our_own_models(tmp_path: Path, name: str) -> None:
    write(tmp_path, transcripts(u1="A, B! c d e f g h i", u2=""), name)
    (other,) = external_recognisers(with_other(f"external/{name}"), tmp_path, TEACHER)
    assert other.test["id"].tolist() == TEST["id"].tolist()
    by_id = other.test.set_index("id")
    assert by_id.loc["u1", "errors"] == word_edits(by_id.loc["u1", "reference"], "a b c d e f g h i").errors == 1
    assert by_id.loc["u2", "errors"] == 10
    assert other.row["test_error"] == 11 / (10 * len(TEST))
    assert (other.row["role"], other.row["error_kind"]) == ("external", "wer")


def test_it_has_a_verdict_and_a_row(tmp_path: Path) -> None:
    write(tmp_path, transcripts())
    params = with_other("external/transcripts.csv")
    others = external_recognisers(params, tmp_path, TEACHER)
    worse = make_model("taught", "student", [5] * 24)
    comparisons = compare_all([TEACHER, worse], EVALUATION, others)
    write_results(tmp_path / "results.csv", [TEACHER, worse, *others], verdicts([TEACHER, worse, *others], comparisons))
    table = pd.read_csv(tmp_path / "results.csv").set_index("model")
    assert table.loc["elsewhere", "verdict"] == "not worse than teacher"
    assert table.loc["elsewhere", "test_wer"] == 0
    assert pd.isna(table.loc["elsewhere", "size_bytes"])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (transcripts().iloc[1:], "lacks 1 of 24 test utterances"),
        (transcripts().rename(columns={"text": "said"}), "no column text; found id, said"),
        (pd.concat([transcripts(), transcripts().iloc[:1]]), "twice"),
    ],
)
def test_tables_that_do_not_fit_are_refused(tmp_path: Path, rows: pd.DataFrame, message: str) -> None:
    write(tmp_path, rows)
    with pytest.raises(ValueError, match=message):
        external_recognisers(with_other("external/transcripts.csv"), tmp_path, TEACHER)


def test_a_missing_table_is_named_with_its_key(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"transcripts\.csv: no such table: evaluation\.external names it"):
        external_recognisers(with_other("external/transcripts.csv"), tmp_path, TEACHER)


@pytest.mark.parametrize("path", ["elsewhere/said.csv", "external/../said.csv", "external/said.txt"])
def test_tables_lie_where_dvc_watches(path: str) -> None:
    with pytest.raises(ValidationError, match="in the folder external: put it there"):
        ExternalTable(source="table", path=Path(path))


def test_the_folder_of_before_is_named_by_its_new_name() -> None:
    with pytest.raises(ValidationError, match="the folder others is renamed to 'external'"):
        ExternalTable(source="table", path=Path("others/transcripts.csv"))


def test_the_quantised_teacher_is_its_8_bit_form_of_fewest_validation_errors(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    folder = paths.evaluation("teacher")
    folder.mkdir(parents=True)
    facts = dict.fromkeys(("test_wer", "test_wer_low", "test_wer_high", "size_bytes"), 0.5)
    valid = {"float32": 0.1, "int8_dynamic": 0.3, "int8_static": 0.2}
    forms = {form: {"valid_wer": error, **facts} for form, error in valid.items()}
    (folder / "forms.json").write_text(json.dumps({"forms": forms}))
    table = pd.concat([TEST.assign(form=form, errors=place) for place, form in enumerate(valid)])
    table.to_parquet(folder / "forms.parquet")
    found = quantised_teacher(paths, TEACHER)
    assert found is not None
    assert (found.name, found.row["role"], found.row["valid_error"]) == ("teacher in 8 bits", "quantised", 0.2)
    assert set(found.test["errors"]) == {2}
    (comparison,) = compare_all([TEACHER], EVALUATION, [found])
    assert comparison.judgement.claim == "worse"
    (folder / "forms.json").write_text(json.dumps({"forms": {"float32": forms["float32"]}}))
    assert quantised_teacher(paths, TEACHER) is None
