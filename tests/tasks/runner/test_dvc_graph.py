"""dvc.yaml names all parameters that a stage's result depends on, and other people's files."""

import ast
import atexit
import inspect
import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from functools import reduce
from importlib import import_module
from operator import getitem
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from types import FunctionType
from typing import Any

import pytest
import yaml
from dvc.dependency.param import ParamsDependency
from dvc.repo import Repo

from tasks.params.errors import ParamsError
from tasks.params.load import load_params, parse_params
from tasks.params.pipeline import Params
from tasks.runner.dvc_graph import look_up, read_spec, specs
from tasks.runner.harness import STAGES

REPO = Path(__file__).parents[3]
CANARY = {"corpus": {"kind": "manifest", "root": "general", "file": "general.csv"}}


def with_further_teachers() -> Path:
    """A folder with the project's graph and parameters, and one of what the default has none of."""
    params = yaml.safe_load((REPO / "params.yaml").read_text())
    params["teachers"] = {"others": {"source": "table", "path": "others.csv"}}
    params["ensembles"] = {"both": {"first": "teacher", "second": "distilled"}}
    params["evaluation"]["canary"] = {"general": CANARY}
    folder = Path(mkdtemp(prefix="graph-"))
    atexit.register(rmtree, folder)
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    (folder / "dvc.yaml").write_text((REPO / "dvc.yaml").read_text())
    return folder


ROOT = with_further_teachers()


def invocations() -> list[tuple[str, str]]:
    """Every command and name that dvc.yaml has."""
    students = list(load_params(REPO / "params.yaml").students)
    per_student = [(stage, name) for stage in ("propagate", "distil", "export", "evaluate") for name in students]
    once = [(stage, "") for stage in ("corpus", "preprocess", "teacher", "cache_logits", "profile", "report")]
    return [
        *once,
        ("adopt_teacher", "others"),
        ("cache_logits", "others"),
        ("ensembles", "both"),
        ("canary", "general"),
        ("cache_logits", "both"),
        ("export", "teacher"),
        ("evaluate", "teacher"),
        *per_student,
    ]


def test_every_parameter_exists_in_the_file_for_dvc() -> None:
    params = load_params(ROOT / "params.yaml").model_dump(mode="json")
    keys = {key for command, name in invocations() for key in read_spec(ROOT, command, name).params}
    assert keys
    assert all(look_up(params, key) is not None for key in keys)


def keys_that_dvc_reads() -> list[str]:
    """Sections, and dotted keys that dvc.yaml has within `${}`, those of each named thing by one of its names."""
    names = {"students": "distilled", "teachers": "others", "ensembles": "both", "evaluation.canary": "general"}
    found = dict.fromkeys(Params.model_fields)
    for stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values():
        group = stage.get("foreach", "").strip("${}")
        for key in re.findall(r"\$\{([\w.]+)\}", json.dumps(stage)):
            if key != "key":
                found[re.sub("^item", f"{group}.{names.get(group)}", key)] = None
    return list(found)


@pytest.mark.parametrize("key", keys_that_dvc_reads())
def test_a_key_that_dvc_needs_is_asked_for_before_dvc_asks(key: str, tmp_path: Path) -> None:
    """Without it, either we say at once what to write, or DVC finds all that its stages read."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    *above, last = key.split(".")
    del reduce(getitem, above, params)[last]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    (tmp_path / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())
    try:
        load_params(tmp_path / "params.yaml")
    except ParamsError as error:
        (line,) = error.lines
        assert re.fullmatch(f"{key}: missing: (this key is required|it has a default, .*: write {last}: .*)", line)
        return
    Repo.init(str(tmp_path), no_scm=True).close()
    with Repo(str(tmp_path)) as repo:
        read = [dep for stage in repo.index.stages for dep in stage.deps if isinstance(dep, ParamsDependency)]
        assert read
        assert [name for dep in read for name in dep.params if name not in dep.read_params()] == []


def sections_read(function: Callable[..., Any], seen: set[Any]) -> Iterator[str]:
    """Sections of params that a function reads, by its source and that of all in `tasks` that it names.

    Parameters are what is called `params` and annotated as Params (or its name, where a module imports it for its type
    alone), and `self` in Params' own methods.
    """
    if function in seen:
        return
    seen.add(function)
    owned = "params" if function.__annotations__.get("params") in (Params, "Params") else None
    owner = "self" if function.__qualname__.startswith("Params.") else owned
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))):
        if isinstance(node, ast.Name):
            for used in functions_of(function.__globals__.get(node.id)):
                yield from sections_read(used, seen)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == owner:
            if node.attr in Params.model_fields:
                yield node.attr
            else:
                found = inspect.getattr_static(Params, node.attr)
                yield from sections_read(getattr(found, "fget", found), seen)


def functions_of(found: Any) -> list[Any]:
    """A function of `tasks`, or those of a class of `tasks`."""
    if not getattr(found, "__module__", "").startswith("tasks.") or found is Params:
        return []
    inside = vars(found).values() if isinstance(found, type) else [found]
    return [f for f in (getattr(f, "__func__", f) for f in inside) if isinstance(f, FunctionType) and is_written(f)]


def is_written(function: FunctionType) -> bool:
    """Not made by `dataclass`, which leaves no source."""
    return Path(function.__code__.co_filename).is_relative_to(REPO)


@pytest.mark.parametrize("command", STAGES)
def test_every_section_that_is_read_is_a_parameter_for_dvc(command: str) -> None:
    read = set(sections_read(import_module(STAGES[command]).run, set()))
    assert read, "a stage without parameters"
    names = [name for invoked, name in invocations() if invoked == command]
    assert names, "a stage that dvc.yaml has is invoked above"
    for name in names:
        declared = {key.split(".")[0] for key in read_spec(ROOT, command, name).params}
        assert read <= declared, f"stage {command} reads {read - declared}: name them in its params in dvc.yaml"


def test_reading_is_found_behind_properties_calls_and_classes() -> None:
    """The test above can fail: what `propagate` reads only through a method and in other modules is seen."""
    read = set(sections_read(import_module("tasks.stages.propagate").run, set()))
    assert read == {"problem", "frontend", "student_training", "students"}


def test_other_weights_in_an_adopted_teachers_folder_are_noticed(tmp_path: Path) -> None:
    """By DVC itself, with the teacher stage as dvc.yaml has it, but for its command and its other dependencies."""

    def dvc(*arguments: str) -> str:
        command = [sys.executable, "-m", "dvc", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    stage = yaml.safe_load((REPO / "dvc.yaml").read_text())["stages"]["teacher"]
    stage["deps"] = [dep for dep in stage["deps"] if not dep.startswith(("digests", "data"))]
    stage["cmd"] = "mkdir models; cp -r old models/teacher"
    params = yaml.safe_load((REPO / "params.yaml").read_text()) | {"teacher": {"source": "checkpoint", "path": "old"}}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"teacher": stage}}))
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "model.safetensors").write_text("weights")
    assert parse_params(params).teacher.path == Path("old")
    dvc("init", "-q", "--no-scm")
    dvc("repro", "-q")
    assert json.loads(dvc("status", "--json")) == {}
    (tmp_path / "old" / "model.safetensors").write_text("others")
    assert json.loads(dvc("status", "--json")) == {"teacher": [{"changed deps": {"old": "modified"}}]}


def test_an_assistants_outputs_stand_between_it_and_its_students(tmp_path: Path) -> None:
    """And where nobody is named as a further teacher, no stage asks for outputs but the first teacher's."""

    def stages(params: dict[str, Any]) -> dict[str, set[str]]:
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
        with Repo(str(tmp_path)) as repo:
            graph = repo.index.graph
            return {s.name: {before.name for before in graph.successors(s)} - {"digests"} for s in graph}

    (tmp_path / "dvc.yaml").write_text((REPO / "dvc.yaml").read_text())
    Repo.init(str(tmp_path), no_scm=True).close()
    default = yaml.safe_load((REPO / "params.yaml").read_text())
    assert [name for name in stages(default) if name.startswith(("cache_logits", "adopt"))] == ["cache_logits"]
    chain = yaml.safe_load((REPO / "presets" / "assistant.yaml").read_text())
    found = stages(chain)
    cached = "cache_logits_of_teachers@assistant"
    assert [name for name in found if name.startswith("cache_logits")] == ["cache_logits", cached]
    assert found["adopt_teacher@assistant"] == {"distil@middle", "preprocess"}
    assert found[cached] == {"adopt_teacher@assistant", "preprocess"}
    assert {name for name, before in found.items() if cached in before} == {"distil@assisted"}


def test_a_canary_stands_before_evaluation_alone_and_only_where_one_is_named(tmp_path: Path) -> None:
    """By DVC and by our own reader of its graph."""
    params = yaml.safe_load((REPO / "params.yaml").read_text())
    (tmp_path / "dvc.yaml").write_text((REPO / "dvc.yaml").read_text())
    Repo.init(str(tmp_path), no_scm=True).close()
    for canary, stages in (({}, set()), ({"canary": {"general": CANARY}}, {"canary@general"})):
        (tmp_path / "params.yaml").write_text(yaml.safe_dump({**params, "evaluation": canary}))
        with Repo(str(tmp_path)) as repo:
            graph = repo.index.graph
            reads = {s.name: {before.name for before in graph.successors(s)} for s in graph}
        assert {name for name in reads if name.startswith("canary")} == stages
        assert {name for name, before in reads.items() if before & stages} == (
            {name for name in reads if name.startswith("evaluate")} if stages else set()
        )
        found = {spec.label: spec for spec in specs(tmp_path / "dvc.yaml", {**params, "evaluation": canary})}
        assert ("canary-general" in found) == bool(stages)
        if stages:
            assert found["canary-general"].deps[0] == Path("general")
            assert found["evaluate-distilled"].reads_from(found["canary-general"])
            assert not found["distil-distilled"].reads_from(found["canary-general"])


def test_a_stage_that_dvc_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no stage that runs `python -m tasks distil nobody`"):
        read_spec(REPO, "distil", "nobody")
