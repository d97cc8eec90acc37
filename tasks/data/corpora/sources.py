"""Tables of other tools: where they lie, under a corpus's root or at an address, and what they name."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from glob import escape, glob
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from tasks.data.corpora.raw import Place, Split
from tasks.data.remote import AbsentError, beside, fetched, matching, scheme_of, stream
from tasks.params.corpus_formats import FilePart, RootedCorpus


@dataclass(frozen=True)
class Source:
    """One table or folder: the part that it is of (None: not said), and its name: a path below the root or an address.

    key: what names it in params.yaml. label: its name without folders and ending, which no other of its part has.
    """

    split: Split | None
    name: str
    root: Path
    key: str
    label: str

    @property
    def is_remote(self) -> bool:
        return scheme_of(self.name) is not None

    @property
    def file(self) -> Path:
        """Where it lies on this machine."""
        return self.root / self.name

    def absent(self, corpus: RootedCorpus) -> str:
        """What to say where there is none."""
        if self.is_remote:
            return f"there is no such file: correct {self.key}"
        return f"no such file. {self.key} is relative to corpus.root ({corpus.root})"

    def beside(self, path: str) -> str:
        """A path that it names relative to its own folder, as one relative to the root; or the address."""
        if self.is_remote:
            return beside(self.name, path)
        if scheme_of(path) is not None or os.path.isabs(path):  # noqa: PTH117  # a path may hold what no Path takes
            return path
        return os.path.normpath(os.path.join(os.path.dirname(self.name), path))  # noqa: PTH118, PTH120


def sources(files: Mapping[FilePart, str], corpus: RootedCorpus, place: Place, key: str = "files") -> Iterator[Source]:
    """All that `files` names, part by part, each part's in the order of their names.

    Raises ValueError where a pattern stands for nothing.
    """
    root = place.project / corpus.root
    for part, pattern in files.items():
        split: Split | None = None if part == "all" else part
        found = matching(pattern) if scheme_of(pattern) is not None else _expand(root, pattern)
        if not found:
            raise ValueError(
                f"corpus.{key}.{part}: nothing is called {pattern} in {corpus.root}: correct it; * stands for any "
                "letters but /"
            )
        for name, label in zip(found, _labels(found), strict=True):
            yield Source(split, name, root, f"corpus.{key}.{part}", label)


def _labels(names: list[str]) -> list[str]:
    """Stems; where two are one, each with its number before it."""
    stems = [PurePosixPath(name).name.partition(".")[0] for name in names]
    return stems if len(set(stems)) == len(stems) else [f"{number:05d}-{s}" for number, s in enumerate(stems)]


def _expand(root: Path, pattern: str) -> list[str]:
    if "*" not in pattern:
        return [pattern]
    found = glob(os.path.join(escape(str(root)), pattern))  # noqa: PTH118, PTH207
    return sorted(os.path.relpath(file, root) for file in found)


@contextmanager
def opened(source: Source, corpus: RootedCorpus) -> Iterator[Any]:
    """The path of a file of this machine, or a binary file that is read from its store as it goes.

    Raises ValueError where there is none.
    """
    if not source.is_remote:
        if not source.file.is_file():
            raise ValueError(f"{source.file}: {source.absent(corpus)}")
        yield source.file
        return
    try:
        with stream(source.name) as file:
            yield file
    except AbsentError:
        raise ValueError(f"{source.name}: {source.absent(corpus)}") from None


@contextmanager
def opened_here(source: Source, inside: str = "") -> Iterator[Path]:
    """The table, or that one `inside` a folder, as a file of this machine, whether or not it is there.

    A fetched copy goes away at the end, and errors name its address.
    """
    name = f"{source.name.rstrip('/')}/{inside}" if inside else source.name
    if not source.is_remote:
        yield source.root / name
        return
    with TemporaryDirectory() as folder:
        try:
            copy = fetched(name, Path(folder))
        except AbsentError:
            copy = Path(folder) / PurePosixPath(name).name
        try:
            yield copy
        except ValueError as error:
            raise ValueError(str(error).replace(str(copy), name)) from None
