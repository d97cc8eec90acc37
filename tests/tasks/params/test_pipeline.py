"""params.yaml as a whole: what is taken, and what is said of several mistakes, chains and files."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pytest
import yaml
from given_params import CONFORMER, GOOD, REMOVE, RNN, TRAINING, changed, keep, lines, prune_units

from kd.config.filtering import FilterSettings
from tasks.experiments.study.design import load_study
from tasks.params import errors
from tasks.params.errors import ParamsError
from tasks.params.load import load_params, parse_params
from tasks.params.pipeline import Params
from tasks.params.trainings import training_of

REPO = Path(__file__).parents[3]


def test_what_is_right_is_taken() -> None:
    params = parse_params(GOOD)
    assert training_of(params, "cut") == params.student_training
    assert training_of(parse_params(changed({"students.cut.training": {**TRAINING, "epochs": 9}})), "cut").epochs == 9
    assert Params.model_validate_json(params.model_dump_json()) == params


def test_the_data_classes_neither_check_nor_complete() -> None:
    """So that whoever only reads parameters needs no checks; what is wrong between sections is said by loading."""
    built = Params.model_validate(changed({"students.cut.teacher": "nobody"}))
    assert built.students["cut"].teacher == "nobody"
    with pytest.raises(ParamsError, match=r"students\.cut\.teacher: 'nobody' is no model of this file"):
        parse_params(built.model_dump(mode="json"))
    text = {"teachers": {"said": {"source": "table", "path": "said.csv"}}, "students.cut.teacher": "said"}
    given = changed({**text, "students.cut.objective": {"beta": 1, "distill": {"name": "hypotheses"}}})
    assert Params.model_validate(given).students["cut"].filter is None
    assert parse_params(given).students["cut"].filter == FilterSettings()


def test_what_is_not_used_is_not_written() -> None:
    """So that a record holds no setting that had no effect, and reads back."""
    cut = {"choose": "random", **keep(hidden=3)}
    params = parse_params(changed({"students.cut.operators": [cut, keep(width=5)]}))
    data = params.model_dump(mode="json")
    drawn, chosen = data["students"]["cut"]["operators"]
    assert drawn.keys() == {"op", "keep", "choose", "seed"}
    assert chosen.keys() == {"op", "keep", "choose", "importance"}
    assert data["students"]["small"]["objective"] == {"label_weight": 1.0, "beta": 0.0}
    assert data["students"]["cut"]["objective"]["distill"]["name"] == "soft_targets"
    assert parse_params(data) == params


def test_the_studies_own_params_are_right() -> None:
    files = sorted((REPO / "studies").glob("*.yaml"))
    assert files
    for file in files:
        parse_params(load_study(file).params)


def test_the_projects_own_params_are_right() -> None:
    assert load_params(REPO / "params.yaml").students.keys() >= {"baseline", "distilled", "sliced", "pruned"}


def test_kinds_of_every_family() -> None:
    """A conformer has no `hidden`; its feed-forwards are counted by the smaller one."""
    model = {"teacher.model": CONFORMER, "students.again": REMOVE}
    (line,) = lines(**model)
    assert line.startswith("students.cut.operators.0: conformer has no dimension 'hidden': choose from layers, width,")
    (line,) = lines(**model, **{"students.cut.operators.0.keep": {"feed_forward": 9}})
    assert (
        line == "students.cut.operators.0.keep.feed_forward: 9, but there are only 8: lower it, or give a share below 1"
    )
    parse_params(changed({**model, "students.cut.operators.0.keep": {"feed_forward": 8, "heads": 1, "channels": 0.5}}))


def test_sizes_that_weights_decide_wait_for_them() -> None:
    """After pruning over all layers, or with layers chosen by importance, a size is known only within bounds."""
    bounded = prune_units("hidden", sparsity=0.5)
    parse_params(changed({"students.cut.operators": [bounded, keep(hidden=7)], "students.again": REMOVE}))
    one_layer = {"students.cut.operators": [keep(layers=1), keep(hidden=9)], "students.again": REMOVE}
    parse_params(changed(one_layer))
    (line,) = lines(**{**one_layer, "students.cut.operators": [keep(layers=1), keep(hidden=11)]})
    assert line == "students.cut.operators.1.keep.hidden: 11, but there are only 10: lower it, or give a share below 1"
    parse_params(
        changed(
            {"students.cut.operators": [prune_units("hidden", threshold=9.0), keep(hidden=5)], "students.again": REMOVE}
        )
    )


def test_transcripts_are_aligned_at_the_longest_step() -> None:
    assert lines(**{"frontend.frame_shift_ms": 20}) == [
        f"preprocess.frame_ms: {key} has a frame every 80 ms, so this must be 80 or more, found 40"
        for key in ("students.small.model", "teacher.model")
    ]
    parse_params(changed({"frontend.frame_shift_ms": 20, "preprocess.frame_ms": 80}))


def test_students_that_lead_back_to_themselves() -> None:
    remedy = "let one of these begin or learn elsewhere"
    found = lines(**{"students.cut.init": "again", "students.cut.operators": []})
    assert found == [
        f"students.cut: its init and teacher lead back to itself (cut -> again -> cut): {remedy}",
        f"students.again: its init and teacher lead back to itself (again -> cut -> again): {remedy}",
    ]
    three = {"students.small": {"init": "cut", "teacher": "none"}, "students.cut.init": "again"}
    found = lines(**three)
    assert (
        f"students.small: its init and teacher lead back to itself (small -> cut -> again -> small): {remedy}" in found
    )


def test_every_mistake_is_named_at_once() -> None:
    found = lines(**{"techer": 1, "frontend.num_mels": 3, "students.cut.init": 5})
    assert [line.split(":")[0] for line in found] == ["frontend.num_mels", "students.cut.init", "techer"]
    found = lines(**{"students.cut.teacher": "nobody", "students.cut.operators.0.keep": {"heads": 1}})
    assert [line.split(":")[0] for line in found] == ["students.cut.teacher", "students.cut.operators.0"]


def test_what_only_a_checkpoint_tells_waits_for_it() -> None:
    checkpoint = {"teacher": {"source": "checkpoint", "path": "old"}, "students.cut.operators.0.keep": {"heads": 1}}
    params = parse_params(changed(checkpoint))
    assert params.teacher.source == "checkpoint"
    assert params.students["cut"].operators[0].keep == {"heads": 1}


@pytest.mark.parametrize(
    ("objective", "problem"),
    [
        (
            {"beta": 1, "distill": [{"name": "dist"}, {"name": "hypotheses"}]},
            "distill: teacher gives posteriors, among which hypotheses searches",
        ),
        (
            {"beta": 1, "self_distillation": [{"name": "cr_ctc"}]},
            "self_distillation: cr_ctc is for CTC, which a keyword problem has not",
        ),
    ],
)
def test_what_needs_ctc_is_not_for_keywords(objective: dict[str, Any], problem: str) -> None:
    (line,) = lines(**{"problem": {"kind": "keyword"}, "students.cut.objective": objective})
    assert line.startswith(f"students.cut.objective.{problem}")


def test_keyword_students_may_differ_in_frames() -> None:
    other = {"init": "random", "model": {**RNN, "subsampling": 1}, "teacher": "teacher", "objective": {"beta": 1}}
    params = parse_params(changed({"problem": {"kind": "keyword"}, "students.other": other}))
    assert params.students["other"].model.subsampling == 1
    assert params.teacher.model.subsampling == 4


@pytest.mark.parametrize("layers", [1_001, 10**9, 10**22])
def test_no_width_is_repeated_for_more_layers_than_can_be(layers: int) -> None:
    """10^9 layers of one width each are more memory than there is."""
    (line,) = lines(**{"teacher.model.layers": layers, "teacher.model.hidden": 4})
    assert line.startswith("teacher.model.layers: input should be less than or equal to 1000")


@pytest.mark.parametrize(
    ("key", "value", "most"),
    [("sample_rate_hz", 10**9, 768_000), ("frame_length_ms", 1e7, 1_000), ("frame_shift_ms", 1e9, 1_000)],
)
def test_a_front_end_is_no_larger_than_the_runtime_takes_it(key: str, value: float, most: int) -> None:
    """A Fourier transform of 10^9 points is checked bin by bin."""
    found = lines(**{f"frontend.{key}": value})
    assert found == [f"frontend.{key}: input should be less than or equal to {most}, found {value}"]


def test_thousands_of_mistakes_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """40 lines are shown; a search for the nearest key for each of 9,000 others would take a minute."""
    compared: list[str] = []

    def counting(word: str, *given: Any, **options: Any) -> list[str]:
        compared.append(word)
        return get_close_matches(word, *given, **options)

    monkeypatch.setattr(errors, "get_close_matches", counting)
    wrong = {f"{letter}{'ab' * 20_000}": 1 for letter in "abcdefghi"}
    found = lines(students={f"s{i}": wrong for i in range(1_000)})
    assert 40 <= len(compared) <= errors.MOST_EXPLAINED
    assert max(map(len, compared)) <= errors.VALUE_CHARACTERS
    assert len(found) == 41
    assert found[0].startswith("students.s0.")
    assert found[-1].endswith(" more")


def test_a_name_is_no_longer_than_a_folders_may_be() -> None:
    found = lines(**{f"students.{'語' * 81}": GOOD["students"]["small"]})
    assert len(found) == 1
    assert found[0].endswith("a name of 81 letters, but it names folders, which take 80: shorten it")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"params\.yaml: no such file"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("name: [")
    with pytest.raises(ParamsError, match="is not valid YAML") as caught:
        load_params(tmp_path / "params.yaml")
    assert len(caught.value.lines) == 1
    (tmp_path / "params.yaml").write_text("")
    with pytest.raises(ParamsError):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(GOOD))
    with pytest.raises(ParamsError) as caught:
        load_params(tmp_path / "params.yaml")
    said = "missing: it has a default, but DVC reads it in this file: write"
    assert caught.value.lines == [
        f"name: {said} name: default",
        f"teacher.path: {said} path: models/none",
        f"logit_cache: {said} logit_cache: {{}}",
    ]
    whole = {"name": "default", "teacher.path": "models/none", "logit_cache": {}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(changed(whole)))
    assert load_params(tmp_path / "params.yaml") == parse_params(GOOD)


def test_parameters_are_checked_without_torch() -> None:
    import subprocess
    import sys

    code = "import sys, tasks.params.load; assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=REPO, check=True)
