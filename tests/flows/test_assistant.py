"""The real stages between an assistant and its students, run by DVC, on tiny data and models that are there already."""

import pytest
import yaml
from project import Project, make_tiny_project
from tiny_stages import TRAINING
from workspace import ENCODERS, make_params, make_workspace

from tasks.data.prepared import PreparedData
from tasks.runner.paths import Paths
from tasks.teachers.logit_cache import LogitCache

STAGES = ("digests", "adopt_teacher@assistant", "cache_logits_of_teachers@assistant", "propagate@small", "distil@small")


@pytest.fixture
def project(tmp_path, stage_environment) -> Project:
    """A teacher, `distilled` as it left its training, and `small`, which is to learn from it."""
    project = make_tiny_project(tmp_path)
    make_workspace(project.root)
    small = {"init": "random", "model": ENCODERS["baseline"], "objective": {"label_weight": 1.0, "beta": 1.0}}
    params = make_params(
        teachers={"assistant": {"source": "model", "path": "models/distilled", "output": "posteriors"}},
        students={"distilled": {**small, "teacher": "teacher"}, "small": {**small, "teacher": "assistant"}},
        student_training={**TRAINING, "epochs": 2},
    )
    (project.root / "params.yaml").write_text(yaml.safe_dump(params.model_dump(mode="json"), sort_keys=False))
    return project


@pytest.mark.slow
def test_an_assistants_outputs_are_stored_and_versioned(project: Project) -> None:
    for stage in STAGES:
        project.dvc("repro", "--single-item", stage)
    lock = project.lock()
    (stored,) = lock["cache_logits_of_teachers@assistant"]["outs"]
    read = {dep["path"]: dep["md5"] for dep in lock["distil@small"]["deps"]}
    assert read["outputs/assistant"] == stored["md5"]
    train = PreparedData.load(Paths(project.root).prepared).split("train")
    assert len(LogitCache(project.root / "outputs" / "assistant")) == len(train)
    scratch = project.root / "scratch" / "resume" / "distil-small"
    assert list(scratch.glob("*/resume.pt")), "where it would also keep outputs that it computed itself"
    assert not list(scratch.glob("*/outputs"))
