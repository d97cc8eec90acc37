"""What a study says: rows are pooled over folds and seeds, with intervals over speakers."""

import pandas as pd
import pytest

from tasks.experiments.study.epochs_saved import epochs_saved, epochs_saved_markdown
from tasks.experiments.study.summary import markdown, summarise, twin


def results(errors: dict[str, list[list[int]]]) -> pd.DataFrame:
    """Rows of errors[model][fold][seed] out of 100."""
    return pd.DataFrame(
        {
            "model": model, "fold": f"f{fold}", "seed": seed, "params": 10, "nonzero_params": 10,
            "valid_error": 0.1, "errors": wrong, "units": 100, "role": "baseline" if model == "baseline" else "student",
        }
        for model, folds in errors.items()
        for fold, by_seed in enumerate(folds)
        for seed, wrong in enumerate(by_seed)
    )  # fmt: skip


def test_seeds_are_averaged_and_folds_are_the_speakers() -> None:
    table = results({"teacher": [[10, 10], [10, 10], [10, 10]], "baseline": [[20, 30], [30, 30], [40, 30]]})
    teacher, baseline = summarise(table)
    assert baseline.error.estimate == pytest.approx((25 + 30 + 35) / 300)
    assert baseline.cells == 6
    assert baseline.against_teacher is not None
    assert baseline.against_teacher.estimate == pytest.approx(0.2)
    # differences of 0.15, 0.20, 0.25 over three speakers: t(2) = 4.303 times 0.05 / sqrt(3)
    assert baseline.against_teacher.high == pytest.approx(0.2 + 4.3027 * 0.05 / 3**0.5, rel=1e-3)
    assert baseline.seed_spread == pytest.approx((0.1 + 0.0 + 0.1) / 3 / 2**0.5)
    assert teacher.against_teacher is None


def test_where_every_model_has_a_row_without_counts_folds_are_speakers() -> None:
    """A study begun before that column, and gone on after."""
    table = results({"teacher": [[10, 10], [12, 12]], "baseline": [[30, 30], [40, 40]]})
    expected = markdown(summarise(table), "WER")
    table["by_speaker"] = [None if fold == table["fold"].iloc[0] else '{"a": [1, 50]}' for fold in table["fold"]]
    assert markdown(summarise(table), "WER") == expected


def test_a_model_without_counts_by_speaker_has_no_interval() -> None:
    """Beside others that have them; a fold of several speakers is not one of them."""
    table = results({"teacher": [[10, 10]], "baseline": [[30, 30]], "old": [[20, 20]]})
    table["by_speaker"] = table["model"].map(
        {"teacher": '{"a": [1, 50], "b": [9, 50]}', "baseline": '{"a": [10, 50], "b": [20, 50]}'}
    )
    teacher, baseline, old = summarise(table)
    assert old.error is old.against_teacher is old.against_baseline is None
    assert old.test_error == pytest.approx(0.2)
    assert baseline.against_teacher is not None
    lines = markdown([teacher, baseline, old], "WER").splitlines()
    assert lines[-1].startswith("| old | 10 | 10 | 2 | 10.0% | 20.0% | — | — |")
    assert not any("nan" in line for line in lines)


def test_speakers_are_the_unit_where_a_fold_has_several() -> None:
    by_speaker = {"teacher": '{"a": [1, 50], "b": [9, 50]}', "baseline": '{"a": [10, 50], "b": [20, 50]}'}
    table = results({"teacher": [[10, 10]], "baseline": [[30, 30]]})
    table["by_speaker"] = table["model"].map(by_speaker)
    _, baseline = summarise(table)
    assert baseline.against_teacher is not None
    # differences of 9 and 11 in 50 over two speakers: 0.18 and 0.22, whose standard error is 0.02; t(1) = 12.706
    assert baseline.against_teacher.estimate == pytest.approx(0.2)
    assert baseline.against_teacher.high == pytest.approx(0.2 + 12.706 * 0.02, rel=1e-3)


def test_the_baseline_is_the_twin_of_a_models_size() -> None:
    table = results({"small": [[30], [40]], "large": [[10], [20]], "sliced": [[25], [35]], "baseline": [[90], [90]]})
    table["role"] = table["model"].map(lambda name: "student" if name == "sliced" else "baseline")
    table["params"] = table["model"].map({"small": 100, "large": 200, "sliced": 95, "baseline": 10})
    small, _, sliced, _ = summarise(table)
    assert small.against_baseline is None
    assert sliced.against_baseline is not None
    assert sliced.against_baseline.estimate == pytest.approx(-0.05)
    assert twin("sliced", table[table["model"] != "small"]) is None


def test_all_may_be_compared_with_one_model() -> None:
    table = results({"baseline": [[30], [40]], "gates": [[20], [30]], "lasso": [[15], [35]]})
    summaries = {summary.model: summary for summary in summarise(table, against="gates")}
    assert summaries["gates"].against_baseline is None
    lasso = summaries["lasso"].against_baseline
    assert lasso is not None
    # differences of -0.05 and 0.05 over two speakers: t(1) = 12.706 times 0.05
    assert lasso.estimate == pytest.approx(0.0)
    assert lasso.high == pytest.approx(12.706 * 0.05, rel=1e-3)
    assert "| minus gates |" in markdown(list(summaries.values()), "WER", "gates")
    assert markdown(list(summaries.values()), "WER", "teacher").count("minus teacher") == 1
    with pytest.raises(ValueError, match="no model 'gate' in this study: it has baseline, gates, lasso"):
        summarise(table, against="gate")


def test_epochs_saved_count_until_the_twins_least_error() -> None:
    table = results({"new": [[30], [30]], "sliced": [[25], [35]]})
    table["role"] = table["model"].map({"new": "baseline", "sliced": "student"})
    table["cell"] = table["fold"]
    errors = {("f0", "new"): [0.9, 0.4, 0.5], ("f0", "sliced"): [0.6, 0.4, 0.1],
              ("f1", "new"): [0.9, 0.5, 0.2], ("f1", "sliced"): [0.6, 0.4, 0.3]}  # fmt: skip
    curves = pd.DataFrame(
        {"cell": cell, "model": model, "epoch": epoch, "valid_error": error}
        for (cell, model), curve in errors.items()
        for epoch, error in enumerate(curve)
    )
    shrinking = curves.assign(phase=(curves["epoch"] >= 2).astype(float).where(curves["model"] == "sliced"))
    assert epochs_saved(table, shrinking).iloc[0]["epochs"] == 3
    assert epochs_saved(table, curves[curves["model"] == "new"]).empty
    row = epochs_saved(table, curves).iloc[0]
    assert (row["model"], row["twin"], row["epochs"], row["reached"], row["twin_epochs"]) == (
        "sliced",
        "new",
        2,
        0.5,
        2.5,
    )
    assert row["twin_error"] == pytest.approx(0.3)
    assert "| sliced | new | 30.0% | 2.5 | 2.0 | 50% |" in epochs_saved_markdown(epochs_saved(table, curves), "WER")


def test_incomplete_cells_do_not_count() -> None:
    table = results({"teacher": [[10], [10]], "baseline": [[20], [40]]}).iloc[:-1]
    assert [s.cells for s in summarise(table)] == [1, 1]
    with pytest.raises(ValueError, match="no cell of this study has all its models"):
        summarise(pd.DataFrame())


def test_the_table_is_markdown() -> None:
    lines = markdown(summarise(results({"teacher": [[10], [12]], "baseline": [[20], [40]]})), "WER").splitlines()
    assert {line.count("|") for line in lines} == {10}
    assert "30.0%" in lines[3]
