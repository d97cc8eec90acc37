"""Which part of a corpus a file, a folder or a split is of, by its name."""

from collections.abc import Iterable
from pathlib import Path
from typing import cast

from tasks.params.corpus_formats import FilePart

PARTS: dict[FilePart, tuple[str, ...]] = {
    "train": ("train", "training"),
    "valid": ("valid", "val", "dev", "validation"),
    "test": ("test", "testing", "eval", "evaluation"),
}


def part_of(path: str) -> FilePart:
    """By the words in its last name, such as dev of data/dev_clean, and eval of eval92."""
    words = "".join(c if c.isalnum() else " " for c in Path(path).name.lower()).split()
    plain = {word.rstrip("0123456789") for word in words}
    return next((part for part, names in PARTS.items() if plain & set(names)), "all")


def part_of_file(file: Path) -> FilePart:
    """What its name begins with counts first: train-other-00000.tar is of train."""
    begins = part_of(file.stem.partition("-")[0])
    return begins if begins != "all" else part_of(file.stem)


def by_part(named: Iterable[tuple[FilePart, str]]) -> dict[FilePart, list[str]]:
    """Names of each part, in their order."""
    found: dict[FilePart, list[str]] = {}
    for part, name in named:
        found.setdefault(part, []).append(name)
    return found


def named_parts(given: list[str]) -> dict[FilePart, str]:
    """What each of PATH or PART=PATH is of; one path alone, without a part, is of all.

    Raises ValueError where two are of one part.
    """
    named: dict[FilePart, str] = {}
    for argument in given:
        before, equals, path = argument.partition("=")
        explicit = bool(equals) and before in (*PARTS, "all")
        part = cast(FilePart, before) if explicit else part_of(argument) if len(given) > 1 else "all"
        path = path if explicit else argument
        if part in named:
            raise ValueError(
                f"{named[part]} and {path} are both of the part {part}: write PART=PATH (train, valid, test or all) "
                "before each, or name several by one pattern with *"
            )
        named[part] = path
    return named
