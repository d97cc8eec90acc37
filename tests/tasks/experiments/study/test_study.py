"""Studies: a design becomes cells, and cells resume."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from tasks.experiments.study import cell as study_module
from tasks.experiments.study.cell import run_cell
from tasks.experiments.study.design import Cell, Study, cells, load_study, make_cell, models_in_order
from tasks.experiments.study.results import collect, missing_cells, results_file, write_results
from tasks.experiments.study.sharing import shared_folder
from tasks.metric_names import ERROR_KINDS
from tasks.params.corpora import SeveralCorpora
from tasks.params.errors import ParamsError
from tasks.params.trainings import training_of
from tasks.runner.dvc_graph import look_up
from tasks.runner.paths import Paths

REPO = Path(__file__).parents[4]
DESIGNS = sorted((REPO / "studies").glob("*.yaml"))


@pytest.fixture
def design() -> Study:
    return load_study(REPO / "studies" / "fsdd-connected.yaml")


@pytest.mark.parametrize("file", DESIGNS, ids=lambda f: f.stem)
def test_every_committed_study_is_valid(file: Path) -> None:
    study = load_study(file)
    made = list(cells(study, REPO))
    assert len(made) == len(study.folds) * len(study.seeds)
    assert len({cell.root for cell in made}) == len(made)


@pytest.mark.parametrize("file", DESIGNS, ids=lambda f: f.stem)
def test_a_committed_study_still_means_the_parameters_that_its_table_was_made_with(file: Path) -> None:
    """A cell's name holds a hash of its resolved parameters: what moves between a study and its base changes none."""
    study = load_study(file)
    if not (table := results_file(study, REPO)).is_file():
        pytest.skip("no table yet")
    recorded = set(pd.read_csv(table)["cell"])
    assert recorded <= {cell.root.name for cell in cells(study, REPO)}


def test_a_cell_has_its_fold_and_seed_everywhere(design: Study) -> None:
    data = json.loads(json.dumps(design.params))
    student = next(iter(data["students"]))
    data["students"][student]["training"] = {**data["student_training"], "epochs": 3}
    fold = design.folds[-1]
    cell = make_cell(design.model_copy(update={"params": data}), fold, 7, REPO)
    assert str(look_up(cell.params.model_dump(mode="json"), design.fold_key)) == fold
    assert cell.params.teacher.training.seed == 7
    assert {training_of(cell.params, name).seed for name in cell.params.students} == {7}
    assert cell.params.corpus.root.is_absolute()


def test_a_cell_with_a_canary_finds_it_and_shares_corpus_and_teacher_with_cells_that_have_none(design: Study) -> None:
    data = json.loads(json.dumps(design.params))
    data["evaluation"]["canary"] = {"general": {"corpus": {"kind": "manifest", "root": "corpora", "file": "g.csv"}}}
    plain, other = (
        make_cell(one, design.folds[0], 1, REPO) for one in (design, design.model_copy(update={"params": data}))
    )
    assert other.params.evaluation.canary["general"].corpus.root == REPO / "corpora"
    assert other.root != plain.root
    assert shared_folder(other.params, REPO) == shared_folder(plain.params, REPO)


@pytest.mark.parametrize(
    ("canary", "line"),
    [
        ([], "params.evaluation.canary: should be a mapping, found"),
        ({"general": {}}, "params.evaluation.canary.general.corpus: missing"),
        ({"general": {"corpus": {"root": 1}}}, "params.evaluation.canary.general.corpus.root: should be text, found 1"),
    ],
)
def test_a_canary_that_is_no_mapping_is_said_before_cells_reach_into_it(design: Study, canary: Any, line: str) -> None:
    data = {**design.params, "evaluation": {"canary": canary}}
    with pytest.raises(ParamsError) as error:
        make_cell(design.model_copy(update={"params": data}), design.folds[0], 1, REPO)
    assert [found for found in error.value.lines if found.startswith(line)]


def test_changed_parameters_get_another_folder(design: Study) -> None:
    data = json.loads(json.dumps(design.params))
    data["student_training"]["epochs"] += 1
    changed = design.model_copy(update={"params": data})
    fold = design.folds[0]
    assert make_cell(design, fold, 1, REPO).root != make_cell(changed, fold, 1, REPO).root
    assert make_cell(design, fold, 1, REPO).root == make_cell(design, fold, 1, REPO).root


def test_sources_come_before_what_is_made_from_them(design: Study) -> None:
    data = json.loads(json.dumps(design.params))
    recipe = {"init": "z_late", "teacher": "none", "objective": {"label_weight": 1.0}}
    data["students"] = {"a_first": recipe, "z_late": data["students"]["baseline"]}
    cell = make_cell(design.model_copy(update={"params": data}), design.folds[0], 1, REPO)
    assert models_in_order(cell.params) == ["teacher", "z_late", "a_first"]


def test_teachers_and_what_they_read_take_their_place_in_a_cell() -> None:
    """What a cell makes itself stays where it is; what it reads from elsewhere is found from its own folder."""
    zero = next(cells(load_study(REPO / "studies" / "zero-label-digits.yaml"), REPO)).params
    models = models_in_order(zero)
    assert models[:1] == ["teacher"]
    assert "transcripts" not in models
    assert zero.teachers["transcripts"].path == Path("models/teacher")
    assert isinstance(zero.corpus, SeveralCorpora)
    assert all(part.corpus.root.is_absolute() for part in zero.corpus.parts.values())
    whisper = next(cells(load_study(REPO / "studies" / "whisper-speechocean.yaml"), REPO)).params
    assert whisper.teachers["whisper"].path.is_absolute()


class Stages:
    """Stand-ins that count, and that can be told to fail once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ran: list[str] = []
        self.fail_at = ""
        from tasks.stages import cache_logits, corpus, distil, preprocess, propagate, teacher

        for module in (corpus, preprocess, teacher, cache_logits, propagate, distil):
            monkeypatch.setattr(module, "run", self._stage(module.__name__.removeprefix("tasks.stages.")))
        monkeypatch.setattr(study_module, "_score", self._score)

    def _stage(self, stage: str) -> Any:
        def run(params: Any, paths: Any, name: str, reporter: Any) -> dict[str, float]:
            label = f"{stage} {name}".strip()
            if label == self.fail_at:
                self.fail_at = ""
                raise RuntimeError("killed")
            self.ran.append(label)
            if stage == "preprocess":
                paths.prepared.mkdir(parents=True)
                (paths.prepared / "prepared.json").write_text("{}")
            return {}

        return run

    def _score(self, cell: Cell, paths: Any, model: str) -> dict[str, Any]:
        return {"fold": cell.fold, "seed": cell.seed, "model": model}


def test_a_stopped_cell_does_only_what_is_missing(
    design: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = Stages(monkeypatch)
    cell = make_cell(design, design.folds[0], 1, tmp_path)
    stages.fail_at = "distil distilled"
    with pytest.raises(RuntimeError, match="killed"):
        run_cell(cell)
    assert cell in missing_cells(design, tmp_path)
    before = len(stages.ran)
    run_cell(cell)
    assert cell not in missing_cells(design, tmp_path)
    again = stages.ran[before:]
    assert again[0] == "distil distilled"
    assert not {"corpus", "preprocess", "teacher", "cache_logits", "distil baseline"} & set(again)
    assert collect(design, tmp_path)["model"].tolist() == models_in_order(cell.params)


def test_cells_that_agree_on_corpus_and_teacher_share_them(
    design: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = Stages(monkeypatch)
    data = json.loads(json.dumps(design.params))
    data["student_training"]["epochs"] += 1
    same_teacher = design.model_copy(update={"params": data})
    data = json.loads(json.dumps(data))
    data["teacher"]["training"]["epochs"] += 1
    other_teacher = design.model_copy(update={"params": data})
    for study in (design, same_teacher, other_teacher):
        run_cell(cell := make_cell(study, design.folds[0], 1, tmp_path))
        assert (Paths(cell.root).prepared / "prepared.json").is_file()
    assert stages.ran.count("teacher") == stages.ran.count("cache_logits") == stages.ran.count("corpus") == 2
    assert stages.ran.count("distil baseline") == 3


def score_cell(design: Study, project: Path, fold: str) -> Cell:
    """A cell as a finished run leaves it."""
    cell = make_cell(design, fold, design.seeds[0], project)
    cell.rows.mkdir(parents=True)
    for model in models_in_order(cell.params):
        row = {"fold": fold, "seed": cell.seed, "model": model, "commit": "0123456789"}
        (cell.rows / f"{model}.json").write_text(json.dumps(row))
        history = Paths(cell.root).model(model) / "history.csv"
        history.parent.mkdir(parents=True)
        history.write_text("epoch,train_loss,valid_error,rate\n0,1.0,0.5,0.1\n1,0.5,0.25,0.1\n")
    return cell


def test_a_fresh_clone_goes_on_from_the_committed_tables(design: Study, tmp_path: Path) -> None:
    first, second = design.folds[:2]
    score_cell(design, tmp_path, second)
    committed = write_results(design, tmp_path)
    (clone := tmp_path / "clone" / "docs" / "results").mkdir(parents=True)
    for file in committed.parent.iterdir():
        (clone / file.name).write_bytes(file.read_bytes())
    project = tmp_path / "clone"
    assert {(c.fold, c.seed) for c in cells(design, project)} - {
        (c.fold, c.seed) for c in missing_cells(design, project)
    } == {(second, design.seeds[0])}
    new = score_cell(design, project, first)
    models = models_in_order(new.params)
    table = pd.read_csv(write_results(design, project), dtype={"commit": str})
    assert table["fold"].tolist() == [first] * len(models) + [second] * len(models)
    assert table["model"].tolist() == models * 2
    assert set(table["commit"]) == {"0123456789"}
    curves = pd.read_csv(project / "docs" / "results" / f"{design.name}-curves.csv")
    assert f"valid_{ERROR_KINDS[new.params.problem.kind]}" in curves, "histories and tables of then are read"
    assert curves.groupby(["fold", "model"]).size().tolist() == [2] * (2 * len(models))


def test_a_changed_design_takes_over_no_committed_row(design: Study, tmp_path: Path) -> None:
    score_cell(design, tmp_path / "scratchless", design.folds[0])
    file = write_results(design, tmp_path / "scratchless")
    (tmp_path / "docs" / "results").mkdir(parents=True)
    (tmp_path / "docs" / "results" / file.name).write_bytes(file.read_bytes())
    assert len(collect(design, tmp_path)) > 0
    data = json.loads(json.dumps(design.params))
    data["student_training"]["epochs"] += 1
    changed = design.model_copy(update={"params": data})
    assert collect(changed, tmp_path).empty
    assert missing_cells(changed, tmp_path) == list(cells(changed, tmp_path))


def test_a_wrong_study_is_named(tmp_path: Path) -> None:
    data = yaml.safe_load(DESIGNS[0].read_text())
    data["fold"] = data.pop("fold_key")
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(data))
    with pytest.raises(ValueError, match="fold_key"):
        load_study(tmp_path / "study.yaml")


def test_a_study_of_more_cells_than_can_be_looked_at_is_refused(design: Study, tmp_path: Path) -> None:
    data = design.model_dump(mode="json")
    (tmp_path / "s.yaml").write_text(
        yaml.safe_dump(data | {"folds": [f"f{i}" for i in range(31)], "seeds": [*range(10)]})
    )
    with pytest.raises(
        ParamsError, match="31 folds with 10 seeds each are 310 cells, and 300 is the most: make several"
    ):
        load_study(tmp_path / "s.yaml")


@pytest.mark.parametrize("changes", [{"name": "x" * 101}, {"folds": ["ab" * 20_000]}])
def test_what_names_folders_is_no_longer_than_their_names_may_be(
    design: Study, changes: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(design.model_dump(mode="json") | changes))
    with pytest.raises(ParamsError, match=f"{next(iter(changes))}.*: string should have at most"):
        load_study(tmp_path / "s.yaml")


def test_a_study_takes_params_from_a_file_and_overrides_them(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(json.dumps(yaml.safe_load((REPO / "params.yaml").read_text())))
    small = {"name": "small", "fold_key": "name", "folds": ["a"], "seeds": [1]}
    written = {**small, "params": str(tmp_path / "params.yaml"), "overrides": {"student_training.steps": 7}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(written))
    (cell,) = cells(load_study(tmp_path / "study.yaml"), tmp_path)
    assert cell.params.student_training.steps == 7
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({**written, "overrides": {"name.of": 1}}))
    with pytest.raises(ParamsError, match=r"overrides\.name\.of: 'of' lies in 'default', which has no keys"):
        load_study(tmp_path / "study.yaml")
