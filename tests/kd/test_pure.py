"""kd computes: but for kd.runtime, nothing in it opens a file or reads the environment."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

KD = Path(__file__).parents[2] / "kd"
CALLS = {
    "open", "read_text", "read_bytes", "write_text", "write_bytes", "unlink", "mkdir", "touch", "tofile", "fromfile",
    "load", "save", "savez", "loadtxt", "memmap", "savetxt", "load_file", "save_file", "getenv",
}  # fmt: skip
"""Of builtins, pathlib, numpy, torch, safetensors."""
MODULES = {"os", "pathlib", "io", "shutil", "tempfile", "subprocess", "soundfile", "glob"}


def forbidden(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (f"import {alias.name}" for alias in node.names if alias.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            yield f"from {node.module}"
        elif isinstance(node, ast.Attribute) and node.attr == "environ":
            yield "environ"
        elif isinstance(node, ast.Call):
            called = node.func
            name = (
                called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
            )
            if name in CALLS:
                yield f"{ast.unparse(called)}(…)"


def test_nothing_but_the_runtime_opens_files_or_reads_the_environment() -> None:
    files = [file for file in KD.rglob("*.py") if KD / "runtime" not in file.parents]
    assert len(files) > 50
    found = {
        f"{file.relative_to(KD)}: {what}"
        for file in files
        for what in forbidden(ast.parse(file.read_text(encoding="utf-8")))
    }
    assert found == set()


@pytest.mark.parametrize(
    "code",
    ["open('x')", "Path('x').read_text()", "np.load(file)", "import os", "from pathlib import Path", "os.environ['X']"],
)
def test_it_would_be_seen(code: str) -> None:
    assert list(forbidden(ast.parse(code)))
