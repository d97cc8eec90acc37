"""What is judged beside the trained models: the teacher merely quantised, and external recognisers."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from kd.stats import error_interval
from kd.text.metrics import EDITS, char_edits
from tasks.data.tables import Columns, rows_by_utterance
from tasks.metric_names import plain_errors
from tasks.params.evaluation import ExternalTable
from tasks.params.pipeline import Params
from tasks.params.writing import writing_of
from tasks.reporting.results import COLUMNS as RESULT_COLUMNS
from tasks.reporting.results import Model
from tasks.runner.paths import Paths

FORM_FACTS = ("valid_error", "test_error", "test_error_low", "test_error_high", "size_bytes")
COLUMNS = Columns(texts=("id", "text"), needed=("id", "text"))


def quantised_teacher(paths: Paths, teacher: Model) -> Model | None:
    """The teacher's 8-bit form of the lowest error rate on the validation part; None where it has none."""
    folder = paths.evaluation(teacher.name)
    file = folder / "forms.json"
    written: Mapping[str, Mapping[str, float]] = json.loads(file.read_text(encoding="utf-8"))["forms"]
    forms = {form: plain_errors(facts) for form, facts in written.items()}
    name = min((f for f in forms if f.startswith("int8")), key=lambda f: (forms[f]["valid_error"], f), default=None)
    if name is None:
        return None
    table = pd.read_parquet(folder / "forms.parquet")
    facts = {key: forms[name][key] for key in FORM_FACTS}
    return replace(
        teacher,
        name=f"{teacher.name} in 8 bits",
        row={**teacher.row, "model": f"{teacher.name} in 8 bits", "role": "quantised", **facts},
        utterances=table[table["form"] == name],
    )


def external_recognisers(params: Params, root: Path, reference: Model) -> list[Model]:
    """Models of role `external` from tables of their transcripts, on the utterances of `reference`."""
    return [_external(name, source, params, root, reference) for name, source in params.evaluation.external.items()]


def read_hypotheses(file: Path, ids: list[str]) -> list[str]:
    """The texts of these utterances. Raises ValueError where table, column or utterances are missing."""
    absent = "no such table: evaluation.external names it. It needs the columns id and text"
    _, rows = rows_by_utterance(file, COLUMNS, ("id",), absent)
    for name, found in rows.items():
        if len(found) > 1:
            raise ValueError(f"{found[1].where} names utterance {name} twice: leave one row of it")
    if missing := [i for i in ids if i not in rows]:
        raise ValueError(
            f"{file} lacks {len(missing)} of {len(ids)} test utterances, {missing[0]} first. "
            "Give a row for each; an empty text where nothing was recognised"
        )
    return [rows[i][0].text("text") or "" for i in ids]


def _external(name: str, source: ExternalTable, params: Params, root: Path, reference: Model) -> Model:
    test, edits = reference.test, EDITS[params.problem.kind]
    hypotheses = [_plain(text, params) for text in read_hypotheses(root / source.path, test["id"].tolist())]
    pairs = list(zip(test["reference"], hypotheses, strict=True))
    errors = [edits(said, text).errors for said, text in pairs]
    chars = sum((char_edits(said, text).errors for said, text in pairs), 0)
    speakers = [None if pd.isna(speaker) else str(speaker) for speaker in test["speaker"]]
    interval = error_interval(
        errors, test["reference_units"].tolist(), speakers, confidence=params.evaluation.confidence
    )
    row = {
        **dict.fromkeys(RESULT_COLUMNS),
        "model": name, "role": "external", "init": "elsewhere", "objective": "unknown",
        "error_kind": reference.row["error_kind"], "test_error": interval.estimate,
        "test_error_low": interval.low, "test_error_high": interval.high, "cer": chars / sum(len(r) for r, _ in pairs),
    }  # fmt: skip
    utterances = test.assign(hypothesis=hypotheses, errors=errors)
    return Model(name, row, interval.method, "", (), {}, pd.DataFrame(), utterances)


def _plain(text: str, params: Params) -> str:
    """Normalised as transcripts are; what holds no word is empty."""
    return writing_of(params, any_character=True).plain(text)
