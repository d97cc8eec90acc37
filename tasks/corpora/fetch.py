"""Fetch an archive from a public address into a folder."""

import shutil
import tempfile
import urllib.request
import zipfile
from pathlib import Path

TIMEOUT_S = 60


def fetch_zip(url: str, folder: Path, what: str) -> None:
    """Download a zip archive and unpack it in `folder`; what was there already stays.

    Raises ValueError that says what to do where it cannot be had, or names a file outside the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch") as scratch:
        archive = Path(scratch) / "archive.zip"
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT_S) as source, archive.open("wb") as target:
                shutil.copyfileobj(source, target)
            with zipfile.ZipFile(archive) as opened:
                opened.extractall(folder)  # zipfile keeps members inside the folder
        except (OSError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"cannot fetch {what} from {url}: {error}. Is there a connection? Or fetch it elsewhere, "
                f"unpack it in {folder} and set corpus.download: false"
            ) from error
