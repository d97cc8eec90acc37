"""Transcripts of all models side by side, with what each got wrong."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from rapidfuzz.distance import Levenshtein

from tasks.reporting.results import Model


@dataclass(frozen=True)
class AlignedWord:
    """A word of a hypothesis: `right`, `wrong` (in place of `meant`), `added`, or `missing` from it."""

    kind: str
    text: str
    meant: str = ""


@dataclass(frozen=True)
class AlignedTranscript:
    """One utterance: its reference, and each model's transcript."""

    id: str
    speaker: str
    snr_db: float | None
    reference: str
    hypotheses: tuple[tuple[str, tuple[AlignedWord, ...]], ...]


def align(reference: str, hypothesis: str) -> tuple[AlignedWord, ...]:
    """The hypothesis word by word, with what a shortest edit makes of the reference's words."""
    ours, theirs = reference.split(), hypothesis.split()
    words: list[AlignedWord] = []
    for op in Levenshtein.opcodes(ours, theirs):
        if op.tag == "equal":
            words += [AlignedWord("right", w) for w in theirs[op.dest_start : op.dest_end]]
        elif op.tag == "replace":
            pairs = zip(theirs[op.dest_start : op.dest_end], ours[op.src_start : op.src_end], strict=True)
            words += [AlignedWord("wrong", w, meant) for w, meant in pairs]
        elif op.tag == "insert":
            words += [AlignedWord("added", w) for w in theirs[op.dest_start : op.dest_end]]
        else:
            words += [AlignedWord("missing", w) for w in ours[op.src_start : op.src_end]]
    return tuple(words)


def unchosen(models: Sequence[Model], count: int) -> list[AlignedTranscript]:
    """Test utterances at even distances, whatever became of them."""
    size = len(models[0].test)
    picked = np.linspace(0, size - 1, min(count, size) + 2).round().astype(int)[1:-1] if size > 2 else range(size)
    return [_transcript(models, int(i)) for i in dict.fromkeys(picked)]


def most_disputed(models: Sequence[Model], count: int, between: Collection[str] = ()) -> list[AlignedTranscript]:
    """Test utterances whose error counts differ most; no two of a speaker while others are left.

    between: names of the models whose errors are looked at; all of them by default.
    """
    looked_at = [m for m in models if not between or m.name in between]
    errors = np.stack([m.test["errors"].to_numpy() for m in looked_at])
    spread = errors.max(axis=0) - errors.min(axis=0)
    order = np.argsort(-spread, kind="stable")
    speakers = models[0].test["speaker"]
    again = pd.Series(speakers.iloc[order]).groupby(speakers.iloc[order], dropna=False).cumcount().to_numpy()
    ordered = order[np.lexsort((np.arange(len(order)), again))]
    return [_transcript(models, int(i)) for i in ordered if spread[i] > 0][:count]


def _transcript(models: Sequence[Model], i: int) -> AlignedTranscript:
    row = models[0].test.iloc[i]
    hypotheses = tuple((m.name, align(row["reference"], m.test["hypothesis"].iloc[i])) for m in models)
    return AlignedTranscript(
        id=str(row["id"]),
        speaker="" if pd.isna(row["speaker"]) else str(row["speaker"]),
        snr_db=None if pd.isna(row["snr_db"]) else float(row["snr_db"]),
        reference=str(row["reference"]),
        hypotheses=hypotheses,
    )
