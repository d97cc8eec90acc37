"""Text files of users are UTF-8, with or without a byte-order mark; what is not is named."""

import unicodedata
from collections.abc import Iterator
from pathlib import Path

_MARKS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
BOM = "\ufeff"


def refuse_other_encodings(file: Path) -> None:
    """Raises ValueError where the first bytes are those of UTF-16 or UTF-32, with a mark or without."""
    with file.open("rb") as source:
        head = source.read(64)
    for mark, name in _MARKS.items():
        if head.startswith(mark):
            raise ValueError(f"{file} is {name}, not UTF-8: save it as UTF-8")
    if head[:1] and b"\0" in head[:4]:
        raise ValueError(f"{file} begins with a zero byte among its first four, as UTF-16 does: save it as UTF-8")


def bad_byte(text: str) -> int | None:
    """The first byte that was no UTF-8 in text decoded with `surrogateescape`; None where all was."""
    return next((ord(c) & 0xFF for c in text if "\udc80" <= c <= "\udcff"), None)


def read_lines(file: Path) -> list[str]:
    """Lines of a UTF-8 text file without its byte-order mark, in the composed form (NFC).

    Raises ValueError as `lines_of` does; where there is no such file, FileNotFoundError.
    """
    return [unicodedata.normalize("NFC", line) for line in lines_of(file)]


def lines_of(file: Path) -> Iterator[str]:
    """Lines of a UTF-8 text file without its byte-order mark, one after another, as they are written.

    Raises ValueError naming the first line that is not UTF-8, or holds a control character other than a tab, as
    files do that are no text.
    """
    refuse_other_encodings(file)
    with file.open(encoding="utf-8-sig", errors="surrogateescape") as lines:  # which end at \n, \r or both alone
        for number, line in enumerate(lines, start=1):
            line = line.removesuffix("\n")
            if (byte := bad_byte(line)) is not None:
                raise ValueError(f"{file}, line {number} is not UTF-8 (byte 0x{byte:02x}): save the file as UTF-8")
            if control := next((c for c in line if unicodedata.category(c) == "Cc" and c != "\t"), None):
                raise ValueError(
                    f"{file}, line {number} holds the control character U+{ord(control):04X}: is it text? Save it as "
                    "UTF-8"
                )
            yield line
