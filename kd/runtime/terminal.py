"""What is printed: in any encoding of the terminal, and one line for whatever went wrong.

What an encoding cannot write, and bytes of file names that are not UTF-8, are written as JSON does: \\u00e9, \\udcff.
So JSON stays JSON, and reads as the names that Python uses.
"""

import codecs
import io
import sys

ESCAPES = "kd.escapes"
LONGEST_LINE = 480  # characters


def prepare() -> None:
    """Standard output and standard error never refuse a character."""
    codecs.register_error(ESCAPES, _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ESCAPES)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    escapes = (f"\\u{units[i] * 256 + units[i + 1]:04x}" for i in range(0, len(units), 2))
    return "".join(escapes), error.end


def say(message: str) -> None:
    """One line on standard error."""
    print(one_line(message), file=sys.stderr, flush=True)


def one_line(text: str) -> str:
    """Without line breaks and other control characters, and no longer than LONGEST_LINE: the middle is left out."""
    shown = visible(text)
    half = LONGEST_LINE // 2 - 3
    return shown if len(shown) <= LONGEST_LINE else f"{shown[:half]} … {shown[-half:]}"


def visible(text: str) -> str:
    """Control characters, which a file's name may hold, as escapes."""
    return "".join(c if c >= " " and c not in "\x7f\x85\u2028\u2029" else f"\\x{ord(c):02x}" for c in text)
