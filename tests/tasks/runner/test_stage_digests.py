"""Digests of stages: which edit makes which of them stale, and DVC with such files."""

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tasks.params.completion import COMPLETED as COMPLETED_KEYS
from tasks.runner.digests import code_of, digest_of
from tasks.runner.dvc_graph import sections_of
from tasks.runner.harness import STAGES
from tasks.runner.stage_digests import COMPLETED, defaults_of, digest_files, write_digests

REPO = Path(__file__).parents[3]


def test_who_reads_what_loading_completes_counts_the_completion() -> None:
    for stage, module in digest_files().values():
        files = [file for file in code_of([module]) if file.startswith(("tasks/stages/", "tasks/teachers/"))]
        read = {attribute for file in files for attribute in attributes(REPO / file, of="recipe")}
        assert bool(read & set(COMPLETED_KEYS)) == (stage in COMPLETED), stage


def attributes(file: Path, of: str) -> set[str]:
    """Attributes that a module reads of a variable of this name."""
    nodes = [n for n in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(n, ast.Attribute)]
    return {node.attr for node in nodes if isinstance(node.value, ast.Name) and node.value.id == of}


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_depends_on_its_digest(stage: str) -> None:
    graph = yaml.safe_load((REPO / "dvc.yaml").read_text())["stages"]
    bodies = [found.get("do", found) for found in graph.values()]
    ours = [body for body in bodies if f"{body['cmd']} ".startswith(f"python -m tasks {stage} ")]
    assert ours
    digest = "adopt_teacher-${item.source}" if stage == "adopt_teacher" else stage
    assert all(f"digests/{digest}.json" in body["deps"] for body in ours)


def test_no_path_of_code_is_kept_by_hand() -> None:
    """Only the stage that makes the digests watches the code itself."""
    graph = yaml.safe_load((REPO / "dvc.yaml").read_text())["stages"]
    assert graph.pop("digests")["deps"] == ["kd", "tasks"]
    assert not [dep for stage in graph.values() for dep in stage.get("do", stage)["deps"] if dep[:3] in ("kd/", "tas")]


def test_a_stage_counts_the_data_beside_its_code() -> None:
    assert {
        "tasks/reporting/templates/page.css",
        "tasks/reporting/templates/page.html",
        "tasks/reporting/templates/card.md",
    } <= set(code_of([STAGES["report"]]))


def test_defaults_are_those_of_the_sections_that_a_stage_reads() -> None:
    evaluation = "defaults of tasks.params.evaluation.EvaluationParams"
    assert evaluation in defaults_of(["evaluation"])
    assert evaluation not in defaults_of(sections_of(REPO, "teacher"))
    assert defaults_of(["logit_cache"]) == {
        "defaults": {"logit_cache": {"top_k": 64}},
        "defaults of tasks.params.pipeline.LogitCacheParams": {"top_k": 64},
    }


def test_a_digest_of_modules_changes_with_what_they_import(copy: Path) -> None:
    script = "from tasks.runner.digests import digest_of; print(digest_of(['kd.teachers.codec']))"

    def digest() -> str:
        return subprocess.run([sys.executable, "-c", script], cwd=copy, capture_output=True, text=True).stdout

    before = digest()
    assert before == digest_of(["kd.teachers.codec"]) + "\n"
    replace(copy / "kd" / "teachers" / "codec.py", "import torch\n", "import torch\nimport kd.teachers.confidence\n")
    assert digest() != before


ALL = frozenset(digest_files())


def by_transcripts(stage: str) -> bool:
    """Whether a stage adopts a teacher that may give text."""
    return stage.startswith("adopt_teacher-") and stage != "adopt_teacher-pretrained"


EDITS: dict[str, tuple[str, Callable[[str], str], Callable[[str], bool]]] = {
    "a docstring of a loss": (
        "kd/losses/soft_targets.py",
        lambda text: text.replace('"""', '"""Edited. ', 1),
        lambda stage: False,
    ),
    "Taylor importance": (
        "kd/propagation/importance.py",
        lambda text: text + "\nEDITED = 1\n",
        lambda stage: stage in ("propagate", "distil"),
    ),
    "a default of evaluation": (
        "tasks/params/evaluation.py",
        lambda text: re.sub(r"(condition_utterances: .*?)(\d+)", r"\g<1>1\2", text, count=1),
        lambda stage: stage in ("canary", "evaluate", "export", "profile", "report"),
    ),
    "the report's css": (
        "tasks/reporting/templates/page.css",
        lambda text: text + "\np { margin: 0 }\n",
        lambda stage: stage == "report",
    ),
    "a loss": (
        "kd/losses/soft_targets.py",
        lambda text: text + "\nEDITED = 1\n",
        lambda stage: stage in ("teacher", "adopt_teacher-pretrained", "distil"),
    ),
    "which training's threads a stage has": (
        "tasks/runner/threads.py",
        lambda text: text.replace('command in ("propagate", "distil")', 'command == "distil"'),
        lambda stage: True,
    ),
    "which training a student has": (
        "tasks/params/trainings.py",
        lambda text: text.replace(".training or params.student_training", ".training or params.teacher.training"),
        lambda stage: True,
    ),
    "the filter where a recipe names none": (
        "tasks/params/completion.py",
        lambda text: text.replace("FilterSettings()", "FilterSettings(min_confidence=0.5)"),
        lambda stage: stage == "distil",
    ),
    "the forms that export makes": (
        "tasks/params/export.py",
        lambda text: text.replace('!= "float32"', '!= "float16"'),
        lambda stage: stage == "export",
    ),
    "how letters of the alphabet are composed": (
        "kd/text/writing.py",
        lambda text: text.replace('normalize("NFC", text)', 'normalize("NFD", text)'),
        lambda stage: stage in ("corpus", "preprocess", "canary", "ensembles", "report") or by_transcripts(stage),
    ),
    "what all of params.yaml is checked for": (
        "tasks/params/pipeline.py",
        lambda text: text.replace("self.min_seconds >= self.max_seconds", "self.min_seconds > self.max_seconds"),
        lambda stage: False,
    ),
    "the harness": ("tasks/runner/harness.py", lambda text: text + "\nEDITED = 1\n", lambda stage: False),
    "the default of a student's training": (
        "kd/config/training.py",
        lambda text: re.sub(r"(threads: .*?)(\d+)", r"\g<1>1\2", text, count=1),
        lambda stage: stage not in ("corpus", "preprocess", "canary", "evaluate", "export"),
    ),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return copied(tmp_path)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The digests of the code as it is."""
    return written(copied(tmp_path_factory.mktemp("before")))


def copied(folder: Path) -> Path:
    for package in ("kd", "tasks"):
        shutil.copytree(REPO / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(REPO / "dvc.yaml", folder)
    return folder


def written(root: Path) -> dict[str, str]:
    subprocess.run([sys.executable, "-m", "tasks", "digests"], cwd=root, check=True)
    return {file.stem: file.read_text() for file in (root / "digests").iterdir()}


@pytest.mark.parametrize(("file", "edit", "stale"), EDITS.values(), ids=EDITS)
def test_an_edit_makes_these_stages_stale_and_no_others(
    before: dict[str, str], copy: Path, file: str, edit: Callable[[str], str], stale: Callable[[str], bool]
) -> None:
    assert set(before) == ALL
    text = (copy / file).read_text()
    assert edit(text) != text
    (copy / file).write_text(edit(text))
    after = written(copy)
    assert {stage for stage in ALL if after[stage] != before[stage]} == set(filter(stale, ALL))


def test_the_same_code_in_another_folder_has_the_same_digests(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    shutil.copy2(REPO / "dvc.yaml", tmp_path / "here")
    write_digests(tmp_path / "here")
    here = {file.stem: file.read_text() for file in (tmp_path / "here" / "digests").iterdir()}
    assert written(copy) == here
    assert json.loads(here["corpus"])["tasks/stages/corpus.py"]


def test_compiled_files_are_no_data(copy: Path, before: dict[str, str]) -> None:
    """Neither a .pyc nor one that Python is just writing, which has a suffix of its own."""
    cache = copy / "tasks" / "stages" / "__pycache__"
    cache.mkdir(exist_ok=True)
    for name in ("corpus.cpython-311.pyc", "corpus.cpython-311.pyc.140214"):
        (cache / name).write_bytes(b"compiled")
    assert written(copy) == before


def test_dvc_lets_a_stage_depend_on_one_file_in_anothers_output(tmp_path: Path) -> None:
    """Of three stages, the two that depend on a file each are stale by their own file alone."""

    def dvc(*arguments: str) -> str:
        command = [sys.executable, "-m", "dvc", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    both = {
        name: {"cmd": f"cp made/{name} {name}.out", "deps": [f"made/{name}"], "outs": [f"{name}.out"]} for name in "ab"
    }
    made = {"cmd": "mkdir -p made && cp a.txt made/a && cp b.txt made/b", "deps": ["a.txt", "b.txt"], "outs": ["made"]}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"made": made, **both}}))
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text("1")
    dvc("init", "-q", "--no-scm")
    dvc("repro", "-q")
    (tmp_path / "b.txt").write_text("2")
    assert re.findall(r"Running stage '(\w+)'", dvc("repro")) == ["made", "b"]
    assert (tmp_path / "b.out").read_text() == "2"


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
