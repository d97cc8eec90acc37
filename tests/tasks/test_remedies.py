"""An error of these rooms ends with what to do."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
ROOMS = ("tasks/experiments/tune", "tasks/pretrained", "tasks/teachers")
FILES = [
    *sorted(file for room in ROOMS for file in (REPO / room).rglob("*.py")),
    REPO / "tasks/data/corpora/espeak.py",
    REPO / "kd/training/lora.py",
]
DO = (
    "add|build|change|choose|convert|copy|delete|get|give|join|learn|let|lower|make|mend|move|name|pip install|raise|"
    "remove|run|save|say|see|set|there are|train|use|wait|write"
)
REMEDY = re.compile(rf"(?:^|[:;.,] )(?:or |and )?(?:{DO})\b|renamed to", re.IGNORECASE)
REASONS = ("it ends … bytes too early", "version … of its format, expected 2 or later", "… has the unknown type …")
"""What `read_ctranslate2` puts in brackets before its remedy."""


def messages(file: Path) -> Iterator[tuple[int, str]]:
    """Texts of the errors that a file raises, with `…` for what is filled in; not those of others, passed on.

    A trial that is refused is no mistake of the user's: the search goes on.
    """
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Raise) or not isinstance(node.exc, ast.Call):
            continue
        texts = [part for part in ast.walk(node.exc) if isinstance(part, ast.JoinedStr | ast.Constant)]
        if not texts:
            continue
        whole = texts[0]
        parts = whole.values if isinstance(whole, ast.JoinedStr) else [whole]
        said = "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts)
        if re.search(r"[a-z]{3} ", said) and said not in REASONS and ast.unparse(node.exc.func) != "TrialRefusedError":
            yield node.lineno, said


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(REPO)))
def test_an_error_says_what_to_do(file: Path) -> None:
    assert [f"line {line}: {text}" for line, text in messages(file) if not REMEDY.search(text)] == []


def test_what_says_only_what_was_found_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text('raise ValueError(f"{n} is too large")\nraise ValueError(f"{n} is too large: give at most {m}")\n')
    assert [(line, bool(REMEDY.search(text))) for line, text in messages(file)] == [(1, False), (2, True)]
