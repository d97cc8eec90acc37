"""Files in tar archives, one after another, from this machine or an address: nothing is unpacked by its name."""

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Self

from tasks.data.corpora.sources import Source, opened
from tasks.params.corpus_formats import RootedCorpus

MOST_TEXT_BYTES = 1 << 20


class Content:
    """One file of an archive, to be read before the next is asked for.

    Raises ValueError where the archive breaks off.
    """

    def __init__(self, archive: str, file: IO[bytes], number: int) -> None:
        self._archive, self._file, self._number = archive, file, number

    def read(self, size: int = -1) -> bytes:
        with _errors(self._archive, self._number):
            return self._file.read(size)


class _Member(tarfile.TarInfo):
    """A member whose header must be whole, and the end marker too: tarfile takes what is neither for the end."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # these are not in typeshed
            second = archive.fileobj.read(tarfile.BLOCKSIZE) if archive.fileobj else b""
            if second != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError("its end marker is not whole") from None
            raise
        except tarfile.HeaderError as error:
            if isinstance(error, tarfile.SubsequentHeaderError):  # type: ignore[attr-defined]
                raise
            raise tarfile.ReadError(f"{error} where a file or the end marker was expected") from None


def members(source: Source, corpus: RootedCorpus) -> Iterator[tuple[str, Content]]:
    """Name and content of each file, in their order.

    Raises ValueError naming the archive where it is none, or is damaged.
    """
    with _as_binary(source, corpus) as raw:
        with _errors(source.name, 0):
            archive = tarfile.open(fileobj=raw, mode="r|*", tarinfo=_Member)  # noqa: SIM115  # closed by the next line
        with archive:
            number = 0
            while (member := _next(archive, source.name, number)) is not None:
                number += 1
                if member.isfile() and (content := archive.extractfile(member)) is not None:
                    yield member.name.removeprefix("./"), Content(source.name, content, number)


def _next(archive: tarfile.TarFile, name: str, number: int) -> tarfile.TarInfo | None:
    with _errors(name, number):
        member = archive.next()
    archive.members = []  # type: ignore[attr-defined]  # where tarfile keeps what it has met
    return member


@contextmanager
def _errors(archive: str, number: int) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, EOFError) as error:
        after = f" after {number} files" if number else ""
        why = " ".join(str(error).split())[:160]
        raise ValueError(f"{archive} cannot be read as a tar archive{after}: {why}. Copy it again") from None


def short_text(content: Content) -> str:
    """A text of at most MOST_TEXT_BYTES; raises ValueError where it is longer, or not UTF-8."""
    data = content.read(MOST_TEXT_BYTES + 1)
    if len(data) > MOST_TEXT_BYTES:
        raise ValueError(f"longer than {MOST_TEXT_BYTES:,} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte 0x{data[error.start]:02x} is not UTF-8") from None


@contextmanager
def _as_binary(source: Source, corpus: RootedCorpus) -> Iterator[Any]:
    with opened(source, corpus) as found:
        if isinstance(found, Path):
            with found.open("rb") as file:
                yield file
        else:
            yield io.BufferedReader(found) if isinstance(found, io.RawIOBase) else found
