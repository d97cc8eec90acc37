"""The one reader of YAML that people write: what it takes means the same to DVC, and what it refuses is one line.

DVC reads params.yaml with a parser of its own (ruamel.yaml, YAML 1.2), we with PyYAML (1.1). Where the two would
differ, or where either would fail later, the file is refused here: doubled keys, tags, dates, numbers that begin with 0
or are of base 60, anchors that lead back to themselves or expand without end.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from tasks.params.errors import ParamsError, format_value

LOADER: Any = type("Loader", (getattr(yaml, "CSafeLoader", yaml.SafeLoader),), {})
"""The one in C where it is there: ten times as fast. 1e-3 and -.5 are numbers to it, as they are to DVC."""
LOADER.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"([-+]?[0-9]+\.?[0-9]*[eE][-+]?[0-9]+|[-+]\.[0-9]+([eE][-+][0-9]+)?)$"),
    list("-+0123456789"),
)
MOST_BYTES = 4 * 2**20
MOST_NESTED = 40
MOST_VALUES = 100_000
"""After anchors are put in: a file of a few lines can stand for 10^9 values."""

TAG = "tag:yaml.org,2002:"
WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]{0,17}|[1-9][0-9]{0,2}(_[0-9]{3}){1,5}|0x[0-9a-fA-F]{1,12})")
READ_OTHERWISE = re.compile(
    r"[-+]?(0[0-9xbo_][0-9a-fA-F_]*|0[0-9_]+(:[0-9]+)+|_+|[0-9][0-9_]*\.?[0-9_]*[eE][-+]?[0-9_]+)"
    r"|[-+](_[0-9_]*|\.[0-9_]+([eE][-+]?[0-9_]+)?)"
)
"""Plain words that are text to PyYAML, and to DVC a number or an error."""
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
KEY = re.compile(r"\s*(?:- +)*['\"]?([A-Za-z_][\w.-]{0,60})['\"]?\s*:")


class _Refused(Exception):  # noqa: N818
    """Raised inside, where the file's name is not known."""

    def __init__(self, line: int, key: str, message: str) -> None:
        self.line, self.key, self.message = line, key, message
        super().__init__(message)


def read_yaml(file: Path) -> Any:
    """The file's values; raises ParamsError with one line: file, line, key, and what to do.

    Values are mappings with text for keys, lists, text, finite numbers, true, false and null.
    """
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise ParamsError([f"{file}: no such file. Run from the project's folder, or pass its path"]) from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ParamsError([f"{file}: cannot be read ({why}): give the path of a YAML file"]) from None
    return parse_yaml(content, str(file))


def parse_yaml(content: bytes, name: str) -> Any:
    """`read_yaml` of a file's bytes."""
    if len(content) > MOST_BYTES:
        raise ParamsError(
            [f"{name}: {len(content):,} bytes, but no such file needs more than {MOST_BYTES:,}: give another"]
        )
    try:
        return _parse(_decoded(content))
    except _Refused as error:
        key = f"{error.key}: " if error.key else ""
        raise ParamsError([f"{name}: line {error.line}: {key}{error.message}"]) from None


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        line = before.count("\n") + 1
        message = f"is not UTF-8 (byte 0x{content[error.start]:02x}): save the file as UTF-8"
        raise _Refused(line, _key_near(before, line), message) from None


def _parse(text: str) -> Any:
    try:
        tags = _scan(text)
        loader = LOADER(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _Walk(tags).visit(node, "")
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        what = error.problem or error.context or "cannot be read"
        raise _Refused(
            line, _key_near(text, line), f"is not valid YAML: {format_value(what, plain=True)}. {_LOOK}"
        ) from None
    except yaml.reader.ReaderError as error:
        position = error.position if isinstance(error.position, int) else 0
        line = text.count("\n", 0, position) + 1
        raise _Refused(line, _key_near(text, line), f"is not valid YAML: {error.reason}: remove it") from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError, OverflowError) as error:
        raise _Refused(1, "", f"cannot be read as YAML: {format_value(str(error), plain=True)}. Correct it") from None


def _scan(text: str) -> dict[int, str]:
    """Tags by where they stand; raises where lists and mappings lie too deep for anything to read."""
    tags: dict[int, str] = {}
    depth = 0
    events: Iterator[Any] = yaml.parse(text, Loader=LOADER)
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if getattr(event, "tag", None) is not None:
            tags[event.start_mark.index] = event.tag
        if depth > MOST_NESTED:
            line = event.start_mark.line + 1
            raise _Refused(line, _key_near(text, line), f"nested more than {MOST_NESTED} deep: close a bracket before")
    return tags


class _Walk:
    """Looks at every node of a document before anything is built of it."""

    def __init__(self, tags: dict[int, str]) -> None:
        self.tags = tags
        self.seen: dict[int, tuple[int, int]] = {}
        self.above: set[int] = set()

    def visit(self, node: Node, path: str) -> tuple[int, int]:
        """How many values a node stands for, and how deep they lie, all anchors put in."""
        if id(node) in self.above:
            _refuse(node, path, "an alias (*) leads back to its own anchor (&): write the values out")
        if id(node) in self.seen:
            return self.seen[id(node)]
        if (tag := self.tags.get(node.start_mark.index)) is not None:
            _refuse(node, path, f"the tag {format_value(tag, plain=True)} is not taken: remove it; values need none")
        self.above.add(id(node))
        inside = [(1, 0), *self._inside(node, path)]
        self.above.discard(id(node))
        size = sum(count for count, _ in inside), 1 + max(depth for _, depth in inside)
        if size[0] > MOST_VALUES or size[1] > MOST_NESTED:
            _refuse(
                node,
                path,
                f"more than {MOST_VALUES:,} values or {MOST_NESTED} levels with its aliases put in: use fewer",
            )
        self.seen[id(node)] = size
        return size

    def _inside(self, node: Node, path: str) -> list[tuple[int, int]]:
        if isinstance(node, ScalarNode):
            _check_scalar(node, path)
            return []
        assert isinstance(node, MappingNode | SequenceNode)
        _check_words_between_brackets(node, path)
        if isinstance(node, SequenceNode):
            return [self.visit(item, f"{path}.{i}".lstrip(".")) for i, item in enumerate(node.value)]
        assert isinstance(node, MappingNode)
        lines: dict[str, int] = {}
        found = []
        for key, value in node.value:
            word = _key(key, path)
            here = _joined(path, word)
            if word in lines:
                _refuse(key, here, f"stands twice, first in line {lines[word]}: keep one of them")
            lines[word] = key.start_mark.line + 1
            self.visit(key, here)
            found.append(self.visit(value, here))
        return found


def _key(key: Node, path: str) -> str:
    if not isinstance(key, ScalarNode):
        _refuse(key, path, "a list or a mapping stands where a key is expected: write a word and a colon")
    if key.tag not in (f"{TAG}str", f"{TAG}merge", f"{TAG}value"):
        kind = str(key.tag).removeprefix(TAG)
        _refuse(key, _joined(path, key.value), f"a key is text, but this is read as {kind}: put it in quotes")
    return str(key.value)


def _check_words_between_brackets(node: MappingNode | SequenceNode, path: str) -> None:
    """Inside [] and {} a plain word with : or ? ends in one parser and goes on in another."""
    words = [word for item in node.value for word in (item if isinstance(item, tuple) else (item,))]
    for word in words if node.flow_style else ():
        if isinstance(word, ScalarNode) and not word.style and (":" in word.value or "?" in word.value):
            _refuse(
                word, path, f"{format_value(word.value, plain=True)} holds : or ? between brackets: put it in quotes"
            )


def _check_scalar(node: ScalarNode, path: str) -> None:
    text, kind = node.value, str(node.tag).removeprefix(TAG)
    if CONTROLS.search(text):
        _refuse(node, path, f"holds a control character: remove it from {format_value(text)}")
    plain = not node.style
    if kind == "timestamp":
        _refuse(
            node, path, f"{format_value(text, plain=True)} is read as a date: put it in quotes, or correct the number"
        )
    if kind == "int" and not WHOLE.fullmatch(text):
        _refuse(node, path, f"{_number(text)} is no number that everybody reads alike: {_ADVICE}")
    if kind == "float" and not _finite(text):
        _refuse(node, path, f"{_number(text)} is no finite number: {_ADVICE}")
    if kind == "str" and plain and text != "_" and READ_OTHERWISE.fullmatch(text):
        _refuse(node, path, f"{_number(text)} is text to one reader and a number to another: {_ADVICE}")
    if kind not in ("str", "int", "float", "bool", "null", "merge", "value"):
        _refuse(
            node,
            path,
            f"{format_value(text, plain=True)} is read as {format_value(kind, plain=True)}: put it in quotes",
        )


_LOOK = "Correct this line, or a bracket, quote or colon above it"
_ADVICE = "write it in decimal digits with no 0 before them, or in quotes if it is text"


def _finite(text: str) -> bool:
    try:
        return len(text) <= 40 and ":" not in text and math.isfinite(float(text.replace("_", "")))
    except ValueError:
        return False


def _number(text: str) -> str:
    return format_value(text, plain=True)


def _joined(path: str, key: str) -> str:
    return f"{path}.{format_value(key, 40, plain=True)}".lstrip(".")


def _refuse(node: Node, path: str, message: str) -> NoReturn:
    raise _Refused(node.start_mark.line + 1, path, message)


def _key_near(text: str, line: int) -> str:
    """The key in this line, or in the nearest one above it; empty where there is none."""
    for above in reversed(text.split("\n")[max(0, line - 200) : line]):
        if match := KEY.match(above[:200]):
            return match[1]
    return ""
