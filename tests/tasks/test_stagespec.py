"""dvc.yaml names all code that a stage's result depends on."""

from pathlib import Path

import grimp
import pytest

from tasks.harness import STAGES
from tasks.params import load_params
from tasks.stagespec import look_up, read_spec

REPO = Path(__file__).parents[2]

PLUMBING = {
    "tasks.paths": "says where files lie, not what is in them",
    "tasks.watch": "an interface",
    "tasks.params_errors": "the wording of errors",
    "tasks.params_checks": "refuses parameters, changes none",
    "tasks.params_operators": "refuses parameters, changes none",
    "tasks.params": "holds the defaults of cheap stages, which name it; to the others it only hands on kd.settings",
    "tasks.params_corpora": "holds the corpora's settings, and the corpus stage names it",
}


def invocations() -> list[tuple[str, str]]:
    """Every command and name that dvc.yaml has."""
    students = list(load_params(REPO / "params.yaml").students)
    per_student = [(stage, name) for stage in ("propagate", "distil", "export", "evaluate") for name in students]
    once = [(stage, "") for stage in ("corpus", "preprocess", "teacher", "measure", "report")]
    return [*once, ("export", "teacher"), ("evaluate", "teacher"), *per_student]


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    return grimp.build_graph("kd", "tasks", "flows", cache_dir=None)


@pytest.mark.parametrize("command", STAGES)
def test_all_imported_code_is_a_dependency(command: str, imports: grimp.ImportGraph) -> None:
    name = next(name for stage, name in invocations() if stage == command)
    deps = read_spec(REPO, command, name).deps
    module = STAGES[command]
    used = {module, *imports.find_upstream_modules(module)}
    missing = []
    for used_module in sorted(used):
        path = Path(*used_module.split("."))
        file = path / "__init__.py" if (REPO / path).is_dir() else path.with_suffix(".py")
        if (
            used_module not in PLUMBING
            and not used_module.startswith("kd.settings")
            and file.name != "__init__.py"
            and not any(file.is_relative_to(dep) for dep in deps)
        ):
            missing.append(str(file))
    assert not missing, f"stage {command} imports {missing}: name them in its deps in dvc.yaml"


def test_every_dependency_on_code_exists() -> None:
    deps = {dep for command, name in invocations() for dep in read_spec(REPO, command, name).deps}
    code = {dep for dep in deps if dep.parts[0] in ("kd", "tasks")}
    assert code
    assert not [str(dep) for dep in code if not (REPO / dep).exists()]


def test_every_parameter_exists_in_the_file_for_dvc() -> None:
    params = load_params(REPO / "params.yaml").model_dump(mode="json")
    for command, name in invocations():
        for key in read_spec(REPO, command, name).params:
            look_up(params, key)


def test_a_stage_that_dvc_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no stage that runs `python -m tasks distil nobody`"):
        read_spec(REPO, "distil", "nobody")
