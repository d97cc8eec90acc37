"""The command line's parser: every value is checked while it is read, and what makes no sense is said in one line."""

import errno
import math
import os
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from kd.runtime.errors import RefusedError


class Parser(ArgumentParser):
    """Raises RefusedError instead of printing its usage."""

    def error(self, message: str) -> NoReturn:
        raise RefusedError(f"{message}. {self.prog} --help lists what there is")


def whole(lowest: int, highest: int) -> Callable[[str], int]:
    """A whole number from lowest to highest."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = lowest - 1
        if not lowest <= value <= highest:
            raise ArgumentTypeError(f"{_short(text)}: expected a whole number between {lowest} and {highest}")
        return value

    return read


def number(lowest: float, highest: float, above: bool = False) -> Callable[[str], float]:
    """A number from lowest, or from above it, to highest."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not lowest <= value <= highest or (above and value == lowest):
            limits = f"more than {lowest:g}, up to" if above else f"between {lowest:g} and"
            raise ArgumentTypeError(f"{_short(text)}: expected a number {limits} {highest:g}")
        return value

    return read


def path(text: str) -> Path:
    """The path of a file or folder; see `place`."""
    return Path(place(text))


def place(text: str) -> str:
    """The name of a file or folder: an empty one would mean the folder where one stands."""
    if not text.strip():
        raise ArgumentTypeError("the name of a file is empty: is a variable of the shell unset?")
    if "\0" in text:
        raise ArgumentTypeError("the name of a file holds a null byte: remove it")
    try:
        os.stat(text)  # noqa: PTH116  # text, as it was given
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise ArgumentTypeError(f"{_short(text)}: the name of a file is too long: shorten it") from None
    return text


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "…")
