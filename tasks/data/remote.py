"""Files at addresses such as s3://bucket/a.wav, gs://, hf:// and http://, through fsspec.

Credentials and endpoints are those that the libraries find by themselves (environment, their configuration files);
none is a parameter. fsspec and what it needs for a kind of address are loaded only where there is such an address.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from kd.runtime.terminal import one_line
from tasks.runner.atomic_io import whole_file

SCHEMES = {"s3": "s3", "gs": "gs", "hf": "", "http": "", "https": ""}
"""Kinds of addresses, and the extra of pyproject.toml that brings what fsspec needs for each."""

_REMEDIES = {
    "s3": "Are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE) set, and AWS_ENDPOINT_URL where it is not "
    "Amazon's? For a public bucket set FSSPEC_S3='{\"anon\": true}'",
    "gs": 'Is GOOGLE_APPLICATION_CREDENTIALS set? For a public bucket set FSSPEC_GS=\'{"token": "anon"}\'',
    "hf": "Stages work offline: set HF_HUB_OFFLINE=0 for this run, and HF_TOKEN where it is not public",
}
_ELSE = "Is there a connection, and may it be read without a password?"


class AbsentError(Exception):
    """There is nothing at an address, though its store answers."""


def scheme_of(path: str) -> str | None:
    """Such as `s3` of s3://bucket/a.wav; None of a path of this machine."""
    scheme, found, _ = path.partition("://")
    return scheme if found and scheme in SCHEMES else None


def beside(table: str, path: str) -> str:
    """A path that a table at an address names, relative to where the table lies."""
    if scheme_of(path) is not None:
        return path
    scheme, _, rest = table.partition("://")
    return f"{scheme}://{PurePosixPath(rest).parent.joinpath(path)}"


def fetched(address: str, folder: Path) -> Path:
    """A copy in `folder`, which is whole or absent, and fetched once.

    Raises AbsentError where the store has no such file; ValueError, in one line with the address and the remedy, where
    it refuses or does not answer.
    """
    copy = folder / f"{sha256(address.encode()).hexdigest()[:32]}{PurePosixPath(address).suffix[:8]}"
    if not copy.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with _store_errors(address), whole_file(copy) as partial:
            files, path = _open_store(address)
            files.get_file(path, str(partial))
    return copy


@contextmanager
def stream(address: str) -> Iterator[Any]:
    """A binary file that is read from its store as it goes. Raises as `fetched` does."""
    with _store_errors(address):
        files, path = _open_store(address)
        with files.open(path, "rb") as source:
            yield source


def matching(pattern: str) -> list[str]:
    """Addresses that a pattern with `*` stands for, in order; of an address without any, itself."""
    if "*" not in pattern:
        return [pattern]
    try:
        with _store_errors(pattern):
            files, path = _open_store(pattern)
            return sorted(files.unstrip_protocol(found) for found in files.glob(path))
    except AbsentError:
        return []


def folders_at(address: str) -> list[str]:
    """Names of the folders in a folder, in order; none where there is no such folder."""
    try:
        with _store_errors(address):
            files, path = _open_store(address)
            found = files.ls(path, detail=True)
            return sorted(PurePosixPath(entry["name"]).name for entry in found if entry["type"] == "directory")
    except AbsentError:
        return []


def _open_store(address: str) -> tuple[Any, str]:
    if "::" in address:
        raise ValueError(f"{address}: an address within another may lead to files of this machine: name one address")
    from fsspec.core import url_to_fs

    files, path = url_to_fs(address)
    return files, path


@contextmanager
def _store_errors(address: str) -> Iterator[None]:
    scheme = scheme_of(address)
    assert scheme is not None
    try:
        yield
    except FileNotFoundError:
        raise AbsentError(f"there is nothing at {address}") from None
    except ImportError as error:
        extra = SCHEMES[scheme]
        raise ValueError(
            f"{address}: {one_line(str(error))}. It needs the extra {extra}: pip install -e '.[{extra}]' -c "
            "requirements.lock"
        ) from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ValueError(_said(address, error)) from None
    except (AbsentError, ValueError):
        raise
    except Exception as error:  # each library has a family of its own for keys and connections
        raise ValueError(_said(address, error)) from None


def _said(address: str, error: Exception) -> str:
    why = " ".join(str(error).split())[:160].rstrip(".") or type(error).__name__
    return one_line(f"{address} cannot be read: {why}. {_REMEDIES.get(scheme_of(address) or '', _ELSE)}")
