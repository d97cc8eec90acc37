"""Which pattern with `*` stands for some of the names in a folder, and for no others."""

import os
from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from glob import escape
from pathlib import PurePosixPath

_DIGITS = "0123456789"


def pattern_for(chosen: Sequence[str], there: Collection[str]) -> str | None:
    """The name itself, or BEGINS-*.tar, *.tar, or what all begin and end with; None where others are called so, too.

    chosen: at least one name of those that are there.
    """
    candidates = [chosen[0]] if len(chosen) == 1 and "-" not in chosen[0] else []
    tails = {PurePosixPath(name).suffix for name in chosen}
    if len(tails) == 1 and (tail := tails.pop()) in (".tar", ".parquet"):
        begins = {name.partition("-")[0] for name in chosen if "-" in name}
        candidates += [*(f"{escape(begin)}-*{tail}" for begin in begins), f"*{tail}"]
    head = _common(chosen).rstrip(_DIGITS)
    end = _common([name[len(head) :][::-1] for name in chosen])[::-1].lstrip(_DIGITS)
    candidates += [chosen[0] if len(chosen) == 1 else f"{escape(head)}*{escape(end)}"]
    return next((pattern for pattern in candidates if _expanded(pattern, there) == set(chosen)), None)


def _common(names: Sequence[str]) -> str:
    """The letters that all begin with."""
    return os.path.commonprefix(list(names))  # noqa: RUF071  # of names, not of paths


def _expanded(pattern: str, there: Collection[str]) -> set[str]:
    """As corpora/sources.py does: names that begin with a dot are hidden, and without any * it is a name."""
    if "*" not in pattern:
        return {pattern}
    return {name for name in there if fnmatchcase(name, pattern) and not name.startswith(".")}
