"""Whatever text a user gives, through whichever door: marks do no harm, other encodings are refused in one line."""

import ast
import codecs
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kd.runtime.description import Description
from kd.runtime.errors import RefusedError
from kd.runtime.ngram import NGram
from kd.runtime.phrases import read_phrases as phrases_to_spot
from kd.runtime.scorer import Scorer
from tasks.data.corpora.phrases import read_phrases
from tasks.data.tables import Columns, read_table
from tasks.params.errors import ParamsError
from tasks.params.strict_yaml import read_yaml

REPO = Path(__file__).parents[2]
LETTERS = ("<blk>", "▁", *"abcdefghijklmnopqrstuvwxyz", "\u00e9")
ARPA = "\\data\\\nngram 1=3\n\n\\1-grams:\n-1 <s>\n-1 caf\u00e9\n-1 </s>\n\n\\end\\\n"
COLUMNS = Columns(("path", "text"), needed=("path", "text"))


def table(file: Path) -> list[dict[str, Any]]:
    return [row.cells for row in read_table(file, COLUMNS)]


DOORS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "phrases.txt": ("ten\ncaf\u00e9 ten\n", read_phrases),
    "keywords.txt": ("ten\ncaf\u00e9 ten\n", lambda file: phrases_to_spot(file, LETTERS)),
    "words.txt": ("ten\ncaf\u00e9\n", lambda file: Scorer.read(None, file, 0.5, 0.0, LETTERS).words),
    "lm.arpa": (ARPA, lambda file: NGram.read(file).entries),
    "params.yaml": ("name: caf\u00e9\n", read_yaml),
    "t.csv": ("path,text\na.wav,caf\u00e9\n", table),
    "t.tsv": ("path\ttext\na.wav\tcaf\u00e9\n", table),
    "t.jsonl": ('{"path": "a.wav", "text": "caf\u00e9"}\n', table),
}
"""Each text file that people write, what stands in it, and who reads it."""

REFUSALS = (RefusedError, ParamsError, ValueError)


@pytest.mark.parametrize("name", DOORS)
def test_a_byte_order_mark_changes_nothing(tmp_path, name):
    text, read = DOORS[name]
    (tmp_path / name).write_text(text, encoding="utf-8")
    plain = read(tmp_path / name)
    (tmp_path / name).write_text(text, encoding="utf-8-sig")
    assert read(tmp_path / name) == plain


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF16_LE])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
@pytest.mark.parametrize("name", DOORS)
def test_another_encoding_is_refused_in_one_line(tmp_path, name, encoding, mark):
    text, read = DOORS[name]
    (tmp_path / name).write_bytes((mark and codecs.encode("\ufeff", encoding)) + text.encode(encoding))
    with pytest.raises(REFUSALS) as refused:
        read(tmp_path / name)
    assert "\n" not in str(refused.value)
    assert name in str(refused.value)
    assert "UTF-8" in str(refused.value) or "YAML" in str(refused.value)


@pytest.mark.parametrize("name", DOORS)
def test_a_byte_that_is_no_utf_8_is_refused_in_one_line(tmp_path, name):
    text, read = DOORS[name]
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(REFUSALS, match=r"not UTF-8") as refused:
        read(tmp_path / name)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "apart", ["cafe\u0301", "caf\u00e9\u200b", "\u200ecaf\u00e9", "ca\u00adf\u00e9", "\ufeffcaf\u00e9"]
)
@pytest.mark.parametrize("name", ["phrases.txt", "keywords.txt", "words.txt"])
def test_normal_forms_and_invisible_characters_make_no_other_word(tmp_path, name, apart):
    text, read = DOORS[name]
    (tmp_path / name).write_text(text, encoding="utf-8")
    plain = read(tmp_path / name)
    (tmp_path / name).write_text(text.replace("caf\u00e9", apart) + "\u200b\n", encoding="utf-8")
    found = read(tmp_path / name)
    if name == "keywords.txt":  # which keep what the user wrote beside what is spelled
        assert [phrase.letters for phrase in found] == [phrase.letters for phrase in plain]
    else:
        assert found == plain


def test_joiners_within_a_phrase_stay_and_a_hidden_hash_begins_a_remark(tmp_path):
    file = tmp_path / "phrases.txt"
    file.write_text("\u0645\u06cc\u200c\u0634\n\u200b# nothing to say\n\u200d \n", encoding="utf-8")
    assert read_phrases(file) == ["\u0645\u06cc\u200c\u0634"]


@pytest.mark.parametrize(("content", "why"), [(b"one\ntwo\x07\n", r"line 2 .* U\+0007"), (b"\x01\x0e\x33\x0e", "U")])
def test_what_is_no_text_is_no_list_of_phrases(tmp_path, content, why):
    (tmp_path / "phrases.txt").write_bytes(content)
    with pytest.raises(ValueError, match=why):
        read_phrases(tmp_path / "phrases.txt")
    with pytest.raises(ValueError, match=r"relative to corpus\.root"):
        read_phrases(tmp_path)


READERS = {
    "kd/runtime/files.py",
    "tasks/params/strict_yaml.py",
    "tasks/data/tables/delimited.py",
    "tasks/data/tables/encoding.py",
    "tasks/data/tables/reader.py",
}
"""Who may decode a file that a person wrote."""

WRITTEN_BY_US = {
    "flows/dvc_state": {"locks"},
    "flows/run": {"remarks"},
    "tasks": {"checkpoint"},
    "tasks/data": {"prepared"},
    "tasks/evaluation": {"canary", "power"},
    "tasks/experiments/study": {"pages", "results"},
    "tasks/experiments/tune": {"results", "trial"},
    "tasks/onnx": {"cold_start", "form_files"},
    "tasks/pretrained": {"weight_files"},
    "tasks/reporting": {"card", "clips", "extras", "forms", "kept", "page", "results"},
    "tasks/runner": {"kept_files"},
    "tasks/stages": {"canary", "distil", "profile", "report"},
    "tasks/teachers": {"bundle_posteriors", "posterior_teacher", "logit_cache"},
    "tasks/teachers/onnx_ctc": {"posteriors"},
    "tasks/tracking": {"pipeline_run", "registry"},
    "tasks/training": {"feature_cache", "history"},
}
"""Modules that decode what a stage, DVC or the system wrote, and nothing that people write."""


def test_nobody_decodes_a_file_but_the_readers():
    ours = {f"{folder}/{name}.py" for folder, names in WRITTEN_BY_US.items() for name in names}
    found = {
        file.relative_to(REPO).as_posix()
        for folder in ("kd", "tasks", "flows")
        for file in (REPO / folder).rglob("*.py")
        if any(map(decodes, ast.walk(ast.parse(file.read_text(encoding="utf-8")))))
    }
    assert found - ours - READERS == set()
    assert READERS | ours <= found | {"kd/runtime/files.py", "tasks/params/strict_yaml.py"}  # which decode bytes


def decodes(node: ast.AST) -> bool:
    """`.read_text(…)`, or `.open(…, encoding=…)` to read."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    if node.func.attr == "read_text":
        return True
    modes = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
    named = any(keyword.arg == "encoding" for keyword in node.keywords)
    return node.func.attr == "open" and named and not {"w", "a", "x"} & {*modes}


def test_a_damaged_description_is_refused_as_texts_are(tmp_path):
    (tmp_path / "export.json").write_bytes("{}".encode("utf-16"))
    with pytest.raises(RefusedError, match="UTF-16"):
        Description.read(tmp_path / "export.json")
