"""Parameters inside studies and searches, before they are whole: what those reach into must be there to reach into."""

from collections.abc import Iterator
from typing import Any

from tasks.params.errors import MISSING, ParamsError, shown


def require_shape(data: Any) -> None:
    """Raises ParamsError with a line for each section that is no mapping, and each path that is no text."""
    if lines := list(_problems(data)):
        raise ParamsError([f"params.{line}" for line in lines])


def _problems(data: Any) -> Iterator[str]:
    for section in ("corpus", "teacher", "student_training", "students"):
        yield from _mapping(data, section, section)
    yield from _each(data.get("students"), "students")
    yield from _each(data.get("teachers", {}), "teachers", "path")
    corpus = data.get("corpus")
    if isinstance(corpus, dict):
        yield from _text(corpus, "root", "corpus")
        yield from _parts(corpus.get("parts", {}))


def _parts(parts: Any) -> Iterator[str]:
    yield from _each(parts, "corpus.parts")
    for name, part in parts.items() if isinstance(parts, dict) else ():
        if isinstance(part, dict):
            path = f"corpus.parts.{name}"
            yield from _mapping(part, "corpus", f"{path}.corpus")
            if isinstance(part.get("corpus"), dict):
                yield from _text(part["corpus"], "root", f"{path}.corpus")


def _each(values: Any, path: str, *texts: str) -> Iterator[str]:
    if not isinstance(values, dict):
        if path != "students":  # which is said already
            yield f"{path}: should be a mapping, found {shown(values)}"
        return
    for name, value in values.items():
        yield from _mapping(values, name, f"{path}.{name}")
        for key in texts:
            if isinstance(value, dict):
                yield from _text(value, key, f"{path}.{name}")


def _mapping(data: dict[str, Any], key: str, path: str) -> Iterator[str]:
    if key not in data:
        yield f"{path}: {MISSING}"
    elif not isinstance(data[key], dict):
        yield f"{path}: should be a mapping, found {shown(data[key])}"


def _text(data: dict[str, Any], key: str, path: str) -> Iterator[str]:
    if not isinstance(data.get(key), str):
        yield f"{path}.{key}: " + (f"should be text, found {shown(data[key])}" if key in data else MISSING)
