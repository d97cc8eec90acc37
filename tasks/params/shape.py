"""Parameters inside studies and searches, before they are whole: what those reach into must be there to reach into."""

from collections.abc import Iterator
from typing import Any

from tasks.params.errors import MISSING, ParamsError, format_value


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
        yield from _of_corpora(corpus.get("parts", {}), "corpus.parts")
    if "evaluation" in data:
        yield from _mapping(data, "evaluation", "evaluation")
    if isinstance(data.get("evaluation"), dict):
        yield from _of_corpora(data["evaluation"].get("canary", {}), "evaluation.canary")


def _of_corpora(holders: Any, path: str) -> Iterator[str]:
    """Of what has a corpus each."""
    yield from _each(holders, path)
    for name, holder in holders.items() if isinstance(holders, dict) else ():
        if isinstance(holder, dict):
            key = f"{path}.{name}.corpus"
            yield from _mapping(holder, "corpus", key)
            if isinstance(holder.get("corpus"), dict):
                yield from _text(holder["corpus"], "root", key)


def _each(values: Any, path: str, *texts: str) -> Iterator[str]:
    if not isinstance(values, dict):
        if path != "students":  # which is said already
            yield f"{path}: should be a mapping, found {format_value(values)}"
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
        yield f"{path}: should be a mapping, found {format_value(data[key])}"


def _text(data: dict[str, Any], key: str, path: str) -> Iterator[str]:
    if not isinstance(data.get(key), str):
        yield f"{path}.{key}: " + (f"should be text, found {format_value(data[key])}" if key in data else MISSING)
