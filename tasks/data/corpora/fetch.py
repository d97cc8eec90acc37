"""Fetch an archive from a public address into a folder."""

import shutil
import tempfile
import urllib.request
import zipfile
from pathlib import Path

TIMEOUT_S = 60


def fetch_zip(url: str, folder: Path, what: str) -> None:
    """Download a zip archive and unpack it in `folder`; what was there already, and is not in the archive, stays.

    It is unpacked beside its place and moved there when it is whole: a kill leaves no part of it.

    Raises ValueError that says what to do where it cannot be had, or names a file outside the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch") as scratch:
        archive, unpacked = Path(scratch) / "archive.zip", Path(scratch) / "unpacked"
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT_S) as source, archive.open("wb") as target:
                shutil.copyfileobj(source, target)
            with zipfile.ZipFile(archive) as opened:
                opened.extractall(unpacked)  # zipfile keeps members inside the folder
            _move(unpacked, folder)
        except (OSError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"cannot fetch {what} from {url}: {error}. Is there a connection? Or fetch it elsewhere, "
                f"unpack it in {folder} and set corpus.download: false"
            ) from error


def _move(source: Path, target: Path) -> None:
    """Each entry by one renaming, or file by file where there is a folder of its name."""
    for entry in sorted(source.iterdir()):
        place = target / entry.name
        if entry.is_dir() and place.is_dir():
            _move(entry, place)
        else:
            entry.replace(place)
