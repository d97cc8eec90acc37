"""Digests of modules: what counts as code, and what they leave out."""

import ast
from pathlib import Path

import pytest

from tasks.runner import digests
from tasks.runner.digests import LEFT_OUT, code_of, fingerprint
from tasks.runner.stage_digests import digest_files

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


def test_what_is_left_out_is_imported_by_what_is_not() -> None:
    """A reason that stands for nothing is noticed. What surrounds a stage no stage imports: the program does."""
    files = {module for _, stage in digest_files().values() for module in code_of([stage])}
    files |= {"tasks/__main__.py", "tasks/runner/harness.py"}
    graph = digests._graph()
    importers = {name: graph.find_modules_that_directly_import(name) for name in LEFT_OUT}
    unused = [name for name in LEFT_OUT if not {f"{m.replace('.', '/')}.py" for m in importers[name]} & files]
    assert not unused


def test_what_holds_all_settings_holds_no_code_that_decides_results() -> None:
    """Params and Recipe are left out of digests: their classes refuse, and compute nothing for a stage."""
    tree = ast.parse((REPO / "tasks" / "params" / "pipeline.py").read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.Lambda)]
    assert {getattr(f, "name", "lambda") for f in functions if not is_check(f)} == {"_unused", "_usable_name"}
    assert len(functions) > 3


def is_check(function: ast.FunctionDef | ast.Lambda) -> bool:
    """A validator after the fields that gives the settings back as they are."""
    decorators = [ast.unparse(d) for d in getattr(function, "decorator_list", [])]
    returns = {ast.unparse(node) for node in ast.walk(function) if isinstance(node, ast.Return)}
    return decorators == ["model_validator(mode='after')"] and returns == {"return self"}
