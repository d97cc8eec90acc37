"""Digests of code: of every module that a result depends on.

A module's digest is that of its syntax tree without docstrings, comments and descriptions of settings, so that prose
makes nothing stale. Which modules count is what is imported, directly or not, and wherever in a module the import
stands (grimp).
"""

import ast
import json
from collections.abc import Iterator, Sequence
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import grimp

import tasks

ROOT = Path(tasks.__file__).parents[1]
PACKAGES = ("kd", "tasks")
LEFT_OUT = {
    "tasks.runner.digests": "compares code, and computes nothing else",
    "tasks.runner.paths": "says where files lie, not what is in them",
    "tasks.runner.reporter": "an interface",
    "tasks.runner.supervisor": "ends processes, and computes nothing",
    "tasks.params.errors": "the wording of errors",
    "kd.runtime.terminal": "the wording of errors",
    "tasks.params.pipeline": "settings, no code but checks: DVC compares what the file gives, the digest the defaults",
    "tasks.params.load": "reads params.yaml and refuses it; what it completes is in tasks.params.completion",
    "tasks.runner.harness": "reads parameters, runs the stage's module, writes down how it went and ends it when it is "
    "killed; what it fixes for the stage is in tasks.runner.threads",
}
"""What a digest leaves out, with all that is imported through it alone; each for a reason."""

PROSE = ("description", "title")
"""Arguments of pydantic's Field that change no value."""


def code_of(modules: Sequence[str]) -> dict[str, str]:
    """Digest of each module that these import, themselves included, and of the data that lies beside them."""
    graph = _graph()
    found, waiting = set[str](), list(modules)
    while waiting:
        module = waiting.pop()
        if module not in found and module not in LEFT_OUT:
            found.add(module)
            waiting.extend(graph.find_modules_directly_imported_by(module))
    files = {_source(module) for module in found}
    data = {file for folder in {file.parent for file in files} for file in _data_beside(folder)}
    return {str(file.relative_to(ROOT)): _digest_of(file) for file in sorted(files | data)}


def digest_of(modules: Sequence[str]) -> str:
    """16 hex digits that change with the code that these modules' results depend on."""
    return _short(json.dumps(code_of(modules), sort_keys=True).encode())


def fingerprint(source: str) -> str:
    """16 hex digits of Python source; the same for any Python that reads it, and whatever its prose says."""
    return _short(_canonical(ast.parse(source)).encode())


def _canonical(node: Any) -> str:
    """A syntax tree as text: only fields that are filled, so that what a later Python adds changes nothing."""
    if isinstance(node, ast.AST):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Field":
            node.keywords = [given for given in node.keywords if given.arg not in PROSE]
        inside = ((name, getattr(node, name, None)) for name in node._fields if name not in ("ctx", "kind"))
        text = ",".join(f"{name}={_canonical(value)}" for name, value in inside if value not in (None, []))
        return f"{type(node).__name__}({text})"
    if isinstance(node, list):
        return f"[{','.join(_canonical(item) for item in node if not _is_docstring(item))}]"
    return repr(node)


def _is_docstring(node: Any) -> bool:
    """A string that nothing is done with: a docstring, anywhere."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


@cache
def _graph() -> grimp.ImportGraph:
    return grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)


@cache
def _source(module: str) -> Path:
    place = ROOT.joinpath(*module.split("."))
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


@cache
def _digest_of(file: Path) -> str:
    content = file.read_bytes()
    return fingerprint(content.decode("utf-8")) if file.suffix == ".py" else _short(content)


def _data_beside(modules: Path) -> Iterator[Path]:
    """Data files in a folder of modules, and in folders there that hold none, such as templates."""
    inner = (
        folder
        for folder in modules.iterdir()
        if folder.is_dir() and folder.name != "__pycache__" and not any(folder.rglob("*.py"))
    )
    for folder in (modules, *inner):
        yield from filter(_is_data, folder.iterdir())


def _is_data(file: Path) -> bool:
    return file.is_file() and file.suffix not in (".py", ".pyc") and not file.name.startswith(".")


def _short(content: bytes) -> str:
    return blake2b(content, digest_size=8).hexdigest()
