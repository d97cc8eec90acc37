"""What propagation kept: the picture's strips, the figures before and after, and how the page tells them."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from report_models import make_model
from workspace import ENCODERS, make_params, make_workspace

from kd.config.models import ModelSettings
from kd.models import build
from kd.propagation.compose import compose
from tasks.params.pipeline import Params
from tasks.reporting.kept import Kept, read_kept, unit_strips
from tasks.reporting.page import TEMPLATES
from tasks.reporting.results import Model
from tasks.reporting.strips import MOST_STEPS, binned, outlined
from tasks.reporting.wording import compact, percent
from tasks.runner.paths import Paths
from tasks.stages import propagate

CUT = {"op": "slice", "keep": {"layers": 1, "hidden": 6, "width": 12}, "choose": "last"}
RECIPES: dict[str, list[dict[str, Any]]] = {
    "cut": [CUT],
    "thin": [{"op": "prune_weights", "sparsity": 0.75}],
    "both": [CUT, {"op": "prune_weights", "sparsity": 0.5}],
}


def params() -> Params:
    taught = {"teacher": "teacher", "objective": {"label_weight": 1.0, "beta": 0.5}}
    students = {name: {"init": "teacher", "operators": operators, **taught} for name, operators in RECIPES.items()}
    students["small"] = {"init": "random", "model": ENCODERS["baseline"], "teacher": "none"}
    return make_params(students=students)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> list[Kept]:
    """Of students that were propagated, and whose training changed nothing."""
    paths, wanted = make_workspace(tmp_path_factory.mktemp("kept")), params()
    models = [make_model("teacher", "teacher", [1] * 24, valid_error=0.1, params=13_000, latency_ms_p50=4.0)]
    for name in wanted.students:
        metrics = propagate.run(wanted, paths, name)
        shutil.copytree(paths.initial(name), paths.model(name))
        row = {"init": wanted.students[name].init, "params": metrics["params"], "latency_ms_p50": 1.0}
        costs = {"macs_per_audio_second": 2e6, "valid_error": 0.25}
        models.append(replace(make_model(name, "student", [1] * 24, **row, **costs), facts=metrics))
    models[0].row["macs_per_audio_second"] = 5e6
    return read_kept(paths, models, dict.fromkeys(RECIPES, "teacher"))


def test_every_propagated_model_has_a_picture_of_what_it_lost(kept: list[Kept]) -> None:
    assert [one.model.name for one in kept] == list(RECIPES)
    cut, thin, both = kept
    assert [bool(one.units) for one in kept] == [True, False, True]
    assert [bool(one.weights) for one in kept] == [False, True, True]
    for words in ("1 of 2", "6 of 24", "12 of 24", "none", "layer 0", "layer 1", "12 of 12"):
        assert words in cut.units, words
    assert "layer 1" in thin.weights
    assert "layer 1" not in both.weights, "its weights are those of its own one layer"
    assert cut.before["params"] / cut.model.row["params"] == cut.shrunk("params") > 2


def test_new_layers_are_told_apart_and_kept_units_are_where_they_were() -> None:
    settings = {"problem": "keyword", "num_features": 16, "num_outputs": 4, "encoder": ENCODERS["teacher"]}
    dimensions = build(ModelSettings.model_validate(settings)).dimensions()
    steps = [{"layers.0.hidden": [1, 3]}, {"new.layers": [1], "new.head": [0]}]
    strips = {(s.row, s.column): s for s in unit_strips(dimensions, compose(dimensions, steps))}
    assert [i for i, share in enumerate(strips["layer 0", "hidden"].shares) if share] == [1, 3]
    assert strips["layer 0", "hidden"].note == "2 of 24"
    assert {place for place, strip in strips.items() if strip.new} == {("layer 1", "hidden"), ("", "head")}


def test_neighbours_share_a_step_where_there_are_many() -> None:
    assert binned([1, 0, 1]) == [1, 0, 1]
    assert binned([1, 0, 1, 1, 0, 0], 3) == [0.5, 1, 0]
    many = binned([1.0] * 500 + [0.0] * 500)
    assert len(many) == MOST_STEPS
    assert sum(many) / len(many) == pytest.approx(0.5, abs=0.02)


def test_an_outline_by_hand() -> None:
    assert outlined([0.5, 0.5, 1.0, 0.0]) == [
        (0, 0),
        (0, 0.5),
        (0.5, 0.5),
        (0.5, 1),
        (0.75, 1),
        (0.75, 0),
        (1, 0),
        (1, 0),
    ]


def told(kept: list[Kept]) -> str:
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    environment.filters.update(percent=percent, compact=compact)
    return environment.get_template("kept.html").render(
        what="WER", kept=kept, place={one.model.name: 0 for one in kept}
    )


def test_the_page_tells_each_cost_before_and_after(kept: list[Kept]) -> None:
    text = told(kept[:1])
    model: Model = kept[0].model
    for words in ("4.00 →", "1.00<small>÷ 4<", "5.00 M →", "2.00 M<small>÷ 2.5<", percent(0.1), percent(0.25),
                  percent(model.facts["initial_valid_error"]), "units kept of teacher"):  # fmt: skip
        assert words in text, words
    assert "weights that are not 0<" not in text.split("<p class")[0]
    assert "its own weights" in told(kept)
    assert told([]).strip() == ""


def test_of_one_that_shrank_the_error_is_that_after_its_last_cut(kept: list[Kept]) -> None:
    phases = pd.DataFrame({"epoch": [0, 1, 2], "valid_error": 0.5, "phase": [0.0, 1.0, 2.0]})
    shrunk, unknown = (
        replace(kept[0], model=replace(kept[0].model, curve=curve))
        for curve in (phases.assign(valid_error_at_cut=[float("nan"), 0.71, 0.83]), phases)
    )
    initial = percent(kept[0].model.facts["initial_valid_error"])
    assert percent(0.83) in told([shrunk])
    assert not any(error in told([shrunk]) for error in (f"<td>{initial}", percent(0.71)))
    assert unknown.propagated_error is None
    assert f"<td>{initial}" not in told([unknown])


def test_a_source_that_was_not_measured_here_is_told_by_its_shape(tmp_path: Path) -> None:
    paths: Paths = make_workspace(tmp_path)
    propagate.run(params(), paths, "cut")
    shutil.copytree(paths.initial("cut"), paths.model("cut"))
    (one,) = read_kept(paths, [make_model("cut", "student", [1] * 24, params=9)], {"cut": "teacher"})
    assert list(one.before) == ["params"]
    assert percent(0.1) in told([one]), "its own error"
