"""YAML that people write: what is refused is one line, and what is taken means the same to DVC's own parser."""

from pathlib import Path

import pytest
from dvc.utils.serialize import parse_yaml as parse_as_dvc
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks.params.errors import ParamsError
from tasks.params.load import load_params
from tasks.params.strict_yaml import parse_yaml, read_yaml

ROOT = Path(__file__).parents[3]
WRITTEN = [ROOT / "params.yaml", *sorted(p for place in ("presets", "studies") for p in (ROOT / place).glob("*.yaml"))]
BOMB = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{b}: &{b} [*{a},*{a},*{a},*{a},*{a},*{a},*{a},*{a},*{a}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)
)

REFUSED: dict[str, tuple[bytes, str]] = {
    "not UTF-8": (b"name: a\ncorpus:\n  root: caf\xe9\n", "line 3: root: is not UTF-8 (byte 0xe9): save the file"),
    "UTF-16": ("name: a\n".encode("utf-16"), "line 1: is not UTF-8 (byte 0xff)"),
    "doubled key": (
        b"name: a\nteacher:\n  path: x\n  path: y\n",
        "line 4: teacher.path: stands twice, first in line 3",
    ),
    "doubled section": (b"a: {b: 1}\nc: 1\na: {b: 2}\n", "line 3: a: stands twice, first in line 1"),
    "python tag": (b"a:\n  b: !!python/object/apply:os.system [ls]\n", "line 2: a.b: the tag tag:yaml.org,2002:python"),
    "own tag": (b"a: !mine 3\n", "line 1: a: the tag !mine is not taken"),
    "even a known tag": (b"a: !!int abc\n", "line 1: a: the tag tag:yaml.org,2002:int is not taken"),
    "list as key": (b"a: 1\n? [1, 2]\n: 3\n", "line 2: a list or a mapping stands where a key is expected"),
    "number as key": (b"students:\n  1: {}\n", "line 2: students.1: a key is text, but this is read as int"),
    "word for truth as key": (b"on: 1\n", "line 1: on: a key is text, but this is read as bool"),
    "bomb": (BOMB.encode(), "values or 40 levels with its aliases put in"),
    "circle": (b"a: &x [1, *x]\n", "line 1: a.1: an alias (*) leads back to its own anchor"),
    "nested": (b"a: " + b"[" * 5000, "line 1: a: nested more than 40 deep"),
    "bad merge": (b"a: 1\n<<: 3\n", "line 2: a: is not valid YAML: expected a mapping"),
    "date": (b"a:\n - 2020-01-02\n", "line 2: a.0: 2020-01-02 is read as a date: put it in quotes"),
    "no such date": (b"a: 2020-13-45\n", "line 1: a: 2020-13-45 is read as a date"),
    "octal": (b"a: 010\n", "line 1: a: 010 is no number that everybody reads alike"),
    "octal to DVC alone": (b"a: 0o17\n", "line 1: a: 0o17 is text to one reader and a number to another"),
    "with a nought": (b"a: 08\n", "line 1: a: 08 is text to one reader"),
    "base 60": (b"a: 1:30\n", "line 1: a: 1:30 is no number"),
    "endless": (b"a: .inf\n", "line 1: a: .inf is no finite number"),
    "long number": (b"a: " + b"9" * 90_000, "line 1: a: 9999"),
    "cut": (b"a: {b: [1, 2\n", "is not valid YAML"),
    "tab": (b"a:\n\tb: 1\n", "line 2: b: is not valid YAML: found character"),
    "control": (b"a: b\x01c\n", "is not valid YAML"),
    "escaped control": (b'a: "b\\u001bc"\n', "line 1: a: holds a control character"),
    "two documents": (b"a: 1\n---\nb: 2\n", "is not valid YAML"),
    "equals": (b"a: <<\n", "could not determine a constructor"),
}


def refusal(content: bytes) -> tuple[str, ...]:
    """The lines with which the content is refused; none where it is taken."""
    try:
        parse_yaml(content, "x")
    except ParamsError as error:
        return tuple(error.lines) or ("",)
    return ()


def the_line(content: bytes) -> str:
    with pytest.raises(ParamsError) as raised:
        parse_yaml(content, "params.yaml")
    (line,) = raised.value.lines
    assert len(line) <= 500
    assert line.startswith("params.yaml: line ")
    return line


@pytest.mark.parametrize(("content", "expected"), REFUSED.values(), ids=REFUSED)
def test_refused_in_one_line_with_file_line_key_and_remedy(content, expected):
    assert expected in the_line(content)


@pytest.mark.parametrize("name", ["missing", "folder", "nul\0byte", "x" * 300])
def test_what_cannot_be_read_is_one_line(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ParamsError) as raised:
        read_yaml(tmp_path / name)
    assert len(raised.value.lines) == 1


@pytest.mark.parametrize("file", WRITTEN, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_every_file_of_ours_is_read_as_dvc_reads_it(file):
    content = file.read_bytes()
    assert parse_yaml(content, file.name) == parse_as_dvc(content.decode(), file)


@pytest.mark.parametrize("number", ["1e5", "1E5", "-2e-3", "+1e+2", "1.e3", "1.5e3", "0e0", "-.5", "+.5e-2"])
def test_a_number_is_one_to_both_readers(number):
    """PyYAML by itself takes 1e5 and -.5 for text: a word to us, and a number to DVC."""
    for text in (f"a: {number}\n", f"a: [{number}]\n", f'a: "{number}"\n'):
        assert parse_yaml(text.encode(), "x") == parse_as_dvc(text, "x")
    assert parse_yaml(f"a: {number}\n".encode(), "x") == {"a": float(number)}


WHOLES = ("1", "1.", "1.5", ".5", "0", "0.", "00", "01", "1_0", "1_0.5", "1.5_0", ".5_0", "_1", "1__0", "_", ".")


@pytest.mark.parametrize("exponent", ["", "e5", "E5", "e+5", "e-5", "e05", "e", "e5_0", "e_5", "e+_5"])
def test_whatever_looks_like_a_number_is_the_same_to_both_readers_or_refused(exponent):
    for text in (f"a: {sign}{whole}{exponent}\n" for sign in ("", "-", "+") for whole in WHOLES):
        if not refusal(text.encode()):
            assert parse_yaml(text.encode(), "x") == parse_as_dvc(text, "x"), text


def test_anchors_and_merges_within_reason_are_taken():
    text = "base: &base {a: 1, b: 2}\nmine:\n  <<: *base\n  b: 3\nboth: {<<: [*base, {c: 4}]}\n"
    values = parse_yaml(text.encode(), "x")
    assert values["mine"] == {"a": 1, "b": 3}
    assert values == parse_as_dvc(text, "x")


def test_a_byte_order_mark_and_an_empty_file_are_taken():
    assert parse_yaml(b"\xef\xbb\xbfa: 1\n", "x") == {"a": 1}
    assert parse_yaml(b"", "x") is None


def test_values_and_lines_are_cut_wherever_they_come_from(tmp_path):
    for text in ("teacher: " + "x" * 100_000, "x" * 100_000 + ": 1", "students: {a: {init: " + "y" * 100_000 + "}}",
                 "corpus: {kind: " + "z" * 100_000 + "}", "name: [" + "1, " * 30_000 + "1]"):  # fmt: skip
        (tmp_path / "params.yaml").write_text(text + "\n")
        with pytest.raises(ParamsError) as raised:
            load_params(tmp_path / "params.yaml")
        assert max(map(len, raised.value.lines)) <= 500
        assert len(raised.value.lines) <= 41


SCALARS = st.one_of(
    st.text(st.sampled_from("0123456789xbo_:.eE+-<=~!&*'\"# \\unNafyT"), max_size=8),
    st.sampled_from(["yes", "null", "~", "1e3", "1.5", ".5", "true", "2020-01-02", "0x1f", "1_000", "=", "<<", "_"]),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcd"), SCALARS), max_size=4), st.booleans())
@example([("a", "-_")], False)
@example([("a", "0x_")], True)
def test_whatever_is_taken_dvc_takes_too(pairs, flow):
    lines = [f"{k}: {v}" for k, v in pairs]
    text = "{" + ", ".join(lines) + "}" if flow else "\n".join([*lines, ""])
    lines = refusal(text.encode())
    assert all(0 < len(line) <= 500 for line in lines)
    if not lines:
        assert set(parse_as_dvc(text, "x") or {}) == set(parse_yaml(text.encode(), "x") or {})


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_file_is_read_or_refused_in_lines(data):
    content = bytearray((ROOT / "params.yaml").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content)))
        content[place : place + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=4))
    assert all(0 < len(line) <= 500 for line in refusal(bytes(content)))
