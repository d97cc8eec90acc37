"""Where audio and transcripts come from: each kind of corpus yields rows of one table."""

from collections.abc import Callable, Iterator
from typing import Any

from tasks.corpora.fsdd import fsdd
from tasks.corpora.manifest import manifest
from tasks.corpora.raw import Place, RawUtterance
from tasks.corpora.synthetic import synthetic
from tasks.corpora.torchaudio_sets import torchaudio_set

# kind -> (its parameters, the place) -> rows
CORPORA: dict[str, Callable[[Any, Place], Iterator[RawUtterance]]] = {
    "synthetic": synthetic,
    "manifest": manifest,
    "torchaudio": torchaudio_set,
    "fsdd": fsdd,
}
