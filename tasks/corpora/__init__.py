"""Where audio and transcripts come from: each kind of corpus yields rows of one table."""

from collections.abc import Callable, Iterator
from typing import Any

from tasks.corpora.fsdd import fsdd_rows
from tasks.corpora.manifest import manifest_rows
from tasks.corpora.raw import Place, RawUtterance
from tasks.corpora.synthetic import synthetic_rows
from tasks.corpora.torchaudio_sets import torchaudio_rows

# kind -> (its parameters, the place) -> rows
CORPORA: dict[str, Callable[[Any, Place], Iterator[RawUtterance]]] = {
    "synthetic": synthetic_rows,
    "manifest": manifest_rows,
    "torchaudio": torchaudio_rows,
    "fsdd": fsdd_rows,
}
