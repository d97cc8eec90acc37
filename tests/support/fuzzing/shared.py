"""What cases begin with, sound and whole: made once."""

from pathlib import Path


def make(folder: Path, kinds: list[str]) -> None:
    pass
