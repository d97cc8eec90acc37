"""The section `corpus` of params.yaml: as text, and in the place of the one that is there."""

import re
from pathlib import Path
from typing import Any

import yaml

from tasks.params.strict_yaml import read_yaml
from tasks.runner.atomic_io import whole_file

_KEY = re.compile(r"^corpus\s*:")
_TOP = re.compile(r"^[^\s#]")


def section_text(settings: dict[str, Any]) -> str:
    """`corpus:` and its keys, each on a line."""
    return yaml.safe_dump({"corpus": settings}, sort_keys=False, allow_unicode=True, width=120)


def with_section(text: str, section: str) -> str:
    """A params.yaml with its section `corpus` replaced; every other line is left as it is."""
    lines = text.splitlines(keepends=True)
    start = next((i for i, line in enumerate(lines) if _KEY.match(line)), None)
    if start is None:
        return f"{text.rstrip()}\n\n{section}" if text.strip() else section
    end = next((i for i in range(start + 1, len(lines)) if _TOP.match(lines[i])), len(lines))
    while end > start + 1 and (not lines[end - 1].strip() or lines[end - 1].startswith("#")):
        end -= 1  # a comment before the next key is of that key
    return "".join([*lines[:start], section, *lines[end:]])


def write_section(file: Path, settings: dict[str, Any]) -> None:
    """Write it into params.yaml, which is whole or as it was.

    Raises ValueError where the file would not then say what it said and this corpus, as where its sections are not
    lines of their own.
    """
    wanted = {**read_yaml(file), "corpus": settings}
    text = with_section(file.read_bytes().decode(), section_text(settings))  # read_yaml has seen that it is UTF-8
    with whole_file(file) as partial:
        partial.write_bytes(text.encode())
        try:
            found = read_yaml(partial)
        except ValueError:
            found = None
        if found != wanted:
            raise ValueError(
                f"{file}: the section corpus does not stand on lines of its own: put what is shown above there by hand"
            )
