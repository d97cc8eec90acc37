"""Where audio and transcripts come from: each kind of corpus yields rows of one table."""

from collections.abc import Callable, Iterator
from typing import Any

from tasks.data.corpora.raw import Place, RawUtterance
from tasks.data.corpora.several import SINGLE, several_rows

# kind -> (its parameters, the place) -> rows
CORPORA: dict[str, Callable[[Any, Place], Iterator[RawUtterance]]] = {**SINGLE, "several": several_rows}
