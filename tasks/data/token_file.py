"""A recogniser's tokens.txt."""

from pathlib import Path

from kd.runtime.files import read_text
from kd.text.token_table import TokenTable, parse_token_table


def read_token_table(file: Path) -> TokenTable:
    """Raises ValueError, in one line that names the file, where there is none or it is no table of a CTC model."""
    return parse_token_table(read_text(file, "a recogniser's table of tokens"), str(file))
