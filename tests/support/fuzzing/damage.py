"""Damage of bytes, of text and of values, drawn by a Random: the same for the same seed on every machine."""

import unicodedata
from collections.abc import Callable
from random import Random
from typing import Any

INVISIBLE = "\u200b\ufeff\u00ad\u200e\u2060\u180e"
ODD_TEXT = (
    *("", " ", "\t", "nan", "NaN", "null", "None", "true", "yes", "-", "--", "~", "0x1f", "010", "1e5", "1_000"),
    *("1:30", "2020-13-45", "=", "<<", "*", "&a", "!!python/name:os.system", "%", "@", "`", "[", "{", "}", "#"),
    *("'", '"', "|", ".", "..", "/", "../..", "a/b", "C:\\x", "models/none", "teacher", "random", "initial", "-1"),
    *("\0", "a\0b", "\n", "a\nb", "\r", "\x1b[31m", "\x7f", "\x85", "\u2028", "\ud800", "\udcff", "a\udcffb"),
    *(INVISIBLE, "te\u200bacher", "\ufeffname", "e\u0301", "é", "İ", "ı", "ß", "ﬁ", "\u09df", "ำ", "％", "語", "😀"),
    *("students.x.y", "\U0010ffff"),
)  # fmt: skip
LONG_TEXT = (
    "x" * 600,
    "x" * 5_000,
    "ab" * 20_000,
    "é" * 700,
    "a b " * 400,
    "9" * 5_000,
    "\n" * 700,
    "/" * 700,
    "a/" * 3_000,
)
ODD_NUMBERS: tuple[Any, ...] = (
    *(0, -1, 1, 2, -0.0, 0.5, 1e-320, 1e22, -1e22, 1e308, 2**31, 2**63, 2**64, -(2**63), 10**19, 10**400),
    *(float("nan"), float("inf"), float("-inf")),
)
FIELDS = (b"\0", b"\xff", b"\x7f", b"\x80", b"\x01")
WIDTHS = (1, 2, 3, 4, 8)


def odd_text(rng: Random, *, longest: int = 100_000) -> str:
    """A string that somebody's code may not expect; seldom a long one."""
    if rng.random() < 0.1:
        long = rng.choice(LONG_TEXT)
        return (long * rng.choice((1, 1, 1, 20)))[:longest]
    if rng.random() < 0.2:
        return "".join(chr(rng.choice((rng.randrange(0x20, 0x7F), rng.randrange(0x11_0000)))) for _ in range(4))
    return rng.choice(ODD_TEXT)


def odd_value(rng: Random) -> Any:
    """A value of JSON or YAML: a number, a string, nothing, or lists and mappings, sometimes deep."""
    draw = rng.random()
    if draw < 0.35:
        return rng.choice(ODD_NUMBERS)
    if draw < 0.7:
        return odd_text(rng)
    if draw < 0.8:
        return rng.choice((None, True, False, [], {}, [None], {"": None}, [[]], {"kind": "keyword"}))
    if draw < 0.85:
        return [odd_value(rng) for _ in range(rng.randrange(1, 4))]
    if draw < 0.9:
        return {odd_text(rng, longest=2_000): odd_value(rng) for _ in range(rng.randrange(1, 3))}
    if draw < 0.95:
        return [rng.choice(ODD_NUMBERS)] * rng.choice((2, 300))
    return nested(rng.choice((5, 39, 60, 150)), rng.random() < 0.5)


def nested(depth: int, mappings: bool) -> Any:
    """A value so deep in lists, or in mappings."""
    found: Any = 1
    for _ in range(depth):
        found = {"a": found} if mappings else [found]
    return found


def misspelt(rng: Random, word: str) -> str:
    """A word with a slip: a letter doubled, lost, swapped, of another case, invisible, or of another normal form."""
    place = rng.randrange(len(word)) if word else 0
    return rng.choice((
        word[:place] + word[place + 1 :],
        word[: place + 1] + word[place:],
        word[:place] + word[place + 1 : place + 2] + word[place : place + 1] + word[place + 2 :],
        word.upper(),
        word.title(),
        f" {word}",
        f"{word}s",
        word[:place] + rng.choice(INVISIBLE) + word[place:],
        unicodedata.normalize("NFD", word.replace("e", "é", 1)),
        word.replace("_", rng.choice(("-", " ", ""))),
        f"{word}.{word}",
    ))  # fmt: skip


def damaged_bytes(rng: Random, data: bytes, times: int = 3, head: int | None = None) -> bytes:
    """Up to so many kinds of damage, one after another. head: half of them lie among the first so many bytes."""
    for _ in range(rng.randrange(1, times + 1)):
        whole = data if head is None or rng.random() < 0.5 else data[:head]
        data = rng.choice(DAMAGES)(rng, whole) + data[len(whole) :]
    return data


def _flip(rng: Random, data: bytes) -> bytes:
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 3, 30))):
        if found:
            found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)
    return bytes(found)


def _overwrite(rng: Random, data: bytes) -> bytes:
    place = rng.randrange(len(data) + 1)
    new = rng.randbytes(rng.randrange(1, 9))
    return data[:place] + new + data[place + len(new) :]


def _field(rng: Random, data: bytes) -> bytes:
    """A number of a header: all zeros, all ones, the largest with a sign, one; often at an even place."""
    width, place = rng.choice(WIDTHS), rng.randrange(len(data) + 1)
    place -= place % rng.choice((1, 2, 4))
    fill, end = rng.choice(FIELDS), rng.choice(FIELDS)
    field = rng.choice((fill * (width - 1) + end, end + fill * (width - 1), fill * width))
    return data[:place] + field + data[place + width :]


def _cut(rng: Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _cut_start(rng: Random, data: bytes) -> bytes:
    return data[rng.randrange(min(len(data), 64) + 1) :]


def _remove(rng: Random, data: bytes) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + data[place + rng.choice((1, 4, 40)) :]


def _double(rng: Random, data: bytes) -> bytes:
    place = rng.randrange(len(data) + 1)
    block = data[place : place + rng.choice((1, 8, 100, len(data)))]
    return data[:place] + block + data[place:]


def _swap(rng: Random, data: bytes) -> bytes:
    size = rng.choice((1, 4, 60))
    a, b = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    if a + size > b:
        return data
    return data[:a] + data[b : b + size] + data[a + size : b] + data[a : a + size] + data[b + size :]


def _insert(rng: Random, data: bytes) -> bytes:
    place = rng.choice((0, rng.randrange(len(data) + 1), len(data)))
    odd = odd_text(rng, longest=6_000).encode("utf-8", "surrogatepass")
    return data[:place] + rng.choice((odd, b"\0" * rng.choice((1, 4, 100)), rng.randbytes(20))) + data[place:]


def _mark(rng: Random, data: bytes) -> bytes:
    return rng.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf\xef\xbb\xbf")) + data


def _encode(rng: Random, data: bytes) -> bytes:
    encoding = rng.choice(("utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp037", "utf-7"))
    return data.decode("utf-8", "replace").encode(encoding, "replace")


def _empty(rng: Random, data: bytes) -> bytes:
    return rng.choice((b"", b"\n", b"\0", data[:1], b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"))


DAMAGES: tuple[Callable[[Random, bytes], bytes], ...] = (
    *(_flip, _flip, _overwrite, _overwrite, _field, _field, _field, _cut, _cut_start, _remove, _remove),
    *(_double, _double, _swap, _swap, _insert, _insert, _mark, _encode, _empty),
)
