"""The table of docs/architecture.md says what each package imports, and the code imports that and nothing else."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).parents[1]
ROOMS = ("kd", "kd/runtime", "kd/config", "tasks", "flows")
"""The packages of the table; each without those that have a row of their own."""
IN_FUNCTIONS = "in functions:"


def table() -> dict[str, tuple[set[str], set[str]]]:
    """The column "may import": what modules import when they are loaded, and what only functions do."""
    rows = re.findall(r"^\| `([\w/]+)/` \|[^|]*\|([^|]*)\|[^|]*\|$", (REPO / "docs/architecture.md").read_text(), re.M)
    return {room: tuple(names(part) for part in _halves(cell)) for room, cell in rows}


def _halves(cell: str) -> tuple[str, str]:
    loaded, _, later = cell.partition(IN_FUNCTIONS)
    return loaded, later


def names(text: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", text))


def files(room: str) -> list[Path]:
    inner = [REPO / other for other in ROOMS if other.startswith(f"{room}/")]
    return [file for file in (REPO / room).rglob("*.py") if not any(file.is_relative_to(folder) for folder in inner)]


def imported(tree: ast.AST) -> Iterator[str]:
    """Dotted names of the modules that a tree imports, anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not read here"
            yield node.module or ""


def roots(room: str) -> tuple[set[str], set[str]]:
    """Roots of what a package imports beside the standard library and itself: by loading it, and in functions alone."""
    package = room.partition("/")[0]
    loaded, every = set[str](), set[str]()
    for file in files(room):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        every |= {name.partition(".")[0] for name in imported(tree)}
        outer = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        loaded |= {name.partition(".")[0] for node in outer for name in imported(node)}
    known = {*sys.stdlib_module_names, package}
    return loaded - known, every - loaded - known


@pytest.mark.parametrize("room", ROOMS)
def test_a_package_imports_what_the_table_says(room: str) -> None:
    assert roots(room) == table()[room]


@pytest.mark.parametrize("room", ["kd/runtime", "kd/config"])
def test_these_import_nothing_else_of_kd(room: str) -> None:
    own = room.replace("/", ".")
    found = {name for file in files(room) for name in imported(ast.parse(file.read_text(encoding="utf-8")))}
    assert {name for name in found if name.startswith("kd") and not f"{name}.".startswith(f"{own}.")} == set()


def test_every_room_has_its_row_and_its_files() -> None:
    assert table().keys() >= set(ROOMS)
    assert all(len(files(room)) > 10 for room in ROOMS)


def test_an_import_in_a_function_is_seen() -> None:
    assert list(imported(ast.parse("def f():\n    import torch.nn\n    from dvc.repo import Repo\n"))) == [
        "torch.nn",
        "dvc.repo",
    ]


def test_what_is_imported_is_declared() -> None:
    """As a dependency, or as one of an extra where only functions import it."""
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    extras = {need for needs in project["optional-dependencies"].values() for need in needs}
    needed, optional = declared(project["dependencies"]), declared(extras)
    for room in ROOMS:
        loaded, later = roots(room)
        assert loaded - OURS - needed == set(), room
        assert later - OURS - needed - optional == set(), room


def test_what_tests_import_is_declared() -> None:
    """As a dependency, or in the extra dev; or in one of the extras that bring recognisers and voices of others."""
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    needs = declared([*project["dependencies"], *extras["dev"], *extras["synthetic"], *extras["whisper"]])
    found, beside = set[str](), set[str]()
    for file in (REPO / "tests").rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        found |= {name.partition(".")[0] for name in (*imported(tree), *_asked_for(tree))}
        beside |= {file.stem, file.parent.name}
    assert {"peft", "transformers", "torch_pruning"} <= found
    assert found - {*sys.stdlib_module_names, *beside} - OURS - needs == set()


def _asked_for(tree: ast.AST) -> Iterator[str]:
    """Modules that `pytest.importorskip` names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "importorskip":
            yield from (name.value for name in node.args if isinstance(name, ast.Constant))


OURS = {"kd", "tasks", "flows"}


def declared(requirements: Iterable[str]) -> set[str]:
    """What requirements are called when they are imported."""
    plain = {re.split(r"[<>=\[!~ ]", requirement)[0].lower().replace("-", "_") for requirement in requirements}
    return {{"pyyaml": "yaml"}.get(name, name) for name in plain}
