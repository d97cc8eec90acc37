"""Corpora side by side; every row says of which part it is."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from tasks.data.corpora.common_voice import common_voice_rows
from tasks.data.corpora.fsdd import fsdd_rows
from tasks.data.corpora.huggingface import huggingface_rows
from tasks.data.corpora.kaldi import kaldi_rows
from tasks.data.corpora.lhotse_cuts import lhotse_rows
from tasks.data.corpora.manifest import manifest_rows
from tasks.data.corpora.nemo import nemo_rows
from tasks.data.corpora.raw import Place, RawUtterance
from tasks.data.corpora.synthetic import synthetic_rows
from tasks.data.corpora.torchaudio_sets import torchaudio_rows
from tasks.data.corpora.webdataset import webdataset_rows
from tasks.params.corpora import CorpusPart, SeveralCorpora

# kind -> (its parameters, the place) -> rows
SINGLE: dict[str, Callable[[Any, Place], Iterator[RawUtterance]]] = {
    "synthetic": synthetic_rows,
    "manifest": manifest_rows,
    "torchaudio": torchaudio_rows,
    "fsdd": fsdd_rows,
    "nemo": nemo_rows,
    "kaldi": kaldi_rows,
    "common_voice": common_voice_rows,
    "huggingface": huggingface_rows,
    "lhotse": lhotse_rows,
    "webdataset": webdataset_rows,
}


def several_rows(corpus: SeveralCorpora, place: Place) -> Iterator[RawUtterance]:
    """Rows of all parts, one after another; ids and made audio carry the part's name."""
    for name, part in corpus.parts.items():
        inside = replace(place, out=place.out / name, lies_in=f"{place.lies_in}/{name}")
        for row in SINGLE[part.corpus.kind](part.corpus, inside):
            if placed := _placed(row, part):
                yield replace(placed, id=f"{name}-{row.id}", part=name)


def _placed(row: RawUtterance, part: CorpusPart) -> RawUtterance | None:
    """The row if its split is taken; a corpus without splits goes into the first."""
    if row.split is None:
        return replace(row, split=part.splits[0])
    return row if row.split in part.splits else None
