"""Digests of code: what makes a stage stale, and what does not."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tasks.runner import digests
from tasks.runner.digests import LEFT_OUT, code_of, digest_of, fingerprint
from tasks.runner.dvc_graph import sections_of
from tasks.runner.harness import STAGES
from tasks.runner.stage_digests import defaults_of, write_digests

REPO = Path(__file__).parents[3]
SOURCE = '''
"""About."""
from pathlib import Path

LIMIT = 3
"""How many."""

class Thing:
    """A thing."""
    kind: int = Field(3, ge=0, description="which")

    def grow(self, by: float = 1.5e-3) -> "Thing":
        # a remark
        axes.set(title="Growth")
        return f"{self!r} grew by {by:.2f}" if by else {**self.parts, "n": b"x"}
'''


def test_the_digest_of_a_module_is_this_on_every_python() -> None:
    assert fingerprint(SOURCE) == "2398e43c0210b248"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""About."""', '"""About\nmuch."""'),
        ("# a remark", "# another"),
        ('"""A thing."""\n', "\n"),
        ('"""How many."""', ""),
        ('description="which"', 'description="which one"'),
        ("LIMIT = 3", "LIMIT  =  3  # units"),
        ("def grow(self, by: float = 1.5e-3)", "def grow(\n        self, by: float = 0.0015\n    )"),
    ],
)
def test_prose_and_layout_are_no_code(old: str, new: str) -> None:
    assert old in SOURCE
    assert fingerprint(SOURCE.replace(old, new)) == fingerprint(SOURCE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 3", "LIMIT = 3.0"),
        ("LIMIT = 3", "LIMIT = '3'"),
        ("1.5e-3", "1.5e-4"),
        (":.2f", ":.3f"),
        ("!r", "!s"),
        ("ge=0", "gt=0"),
        ('b"x"', '"x"'),
        ("self.parts", "self.part"),
        ("**self.parts, ", ""),
        ("import Path", "import Path as P"),
        ("class Thing:", "class Thing(Base):"),
        ("    def grow", "    @property\n    def grow"),
        ('title="Growth"', 'title="Size"'),
    ],
)
def test_any_change_of_code_counts(old: str, new: str) -> None:
    assert old in SOURCE
    assert fingerprint(SOURCE.replace(old, new)) != fingerprint(SOURCE)


def test_what_is_left_out_is_there_and_is_imported() -> None:
    """A reason that stands for nothing is noticed."""
    graph = digests._graph()
    unused = [name for name in LEFT_OUT if not graph.find_modules_that_directly_import(name)]
    assert not unused


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_depends_on_its_digest(stage: str) -> None:
    graph = yaml.safe_load((REPO / "dvc.yaml").read_text())["stages"]
    bodies = [found.get("do", found) for found in graph.values()]
    ours = [body for body in bodies if f"{body['cmd']} ".startswith(f"python -m tasks {stage} ")]
    assert ours
    assert all(f"digests/{stage}.json" in body["deps"] for body in ours)


def test_no_path_of_code_is_kept_by_hand() -> None:
    """Only the stage that makes the digests watches the code itself."""
    graph = yaml.safe_load((REPO / "dvc.yaml").read_text())["stages"]
    assert graph.pop("digests")["deps"] == ["kd", "tasks"]
    assert not [dep for stage in graph.values() for dep in stage.get("do", stage)["deps"] if dep[:3] in ("kd/", "tas")]


def test_a_stage_counts_the_data_beside_its_code() -> None:
    assert {"tasks/reporting/page.css", "tasks/reporting/page.html", "tasks/reporting/card.md"} <= set(
        code_of([STAGES["report"]])
    )


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


ALL = frozenset(STAGES)
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
        lambda stage: stage in ("evaluate", "export", "profile", "report"),
    ),
    "the report's css": (
        "tasks/reporting/page.css",
        lambda text: text + "\np { margin: 0 }\n",
        lambda stage: stage == "report",
    ),
    "a loss": (
        "kd/losses/soft_targets.py",
        lambda text: text + "\nEDITED = 1\n",
        lambda stage: stage in ("teacher", "distil"),
    ),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for folder in ("kd", "tasks"):
        shutil.copytree(REPO / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(REPO / "dvc.yaml", tmp_path)
    return tmp_path


def written(root: Path) -> dict[str, str]:
    subprocess.run([sys.executable, "-m", "tasks", "digests"], cwd=root, check=True)
    return {file.stem: file.read_text() for file in (root / "digests").iterdir()}


@pytest.mark.parametrize(("file", "edit", "stale"), EDITS.values(), ids=EDITS)
def test_an_edit_makes_these_stages_stale_and_no_others(
    copy: Path, file: str, edit: Callable[[str], str], stale: Callable[[str], bool]
) -> None:
    before = written(copy)
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
