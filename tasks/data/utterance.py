"""One utterance of prepared data: what the stage preprocess writes and everything after it reads."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Utterance:
    """One row of data/prepared/utterances.parquet, and its text as unit indices where it was read with a vocabulary.

    Text and indices are empty where nobody transcribed it: the table has null for such a text. Of a test utterance
    the indices are empty, too, where its reference holds a sign that no unit writes. `offset` counts samples from the
    start of audio.i16; `source` is the path below the corpus's root, `part` the part of the corpus.
    """

    id: str
    text: str
    speaker: str | None
    split: str
    offset: int
    num_samples: int
    audio_hash: str
    snr_db: float | None
    source: str
    part: str
    units: tuple[int, ...] = ()


COLUMNS = tuple(field.name for field in fields(Utterance) if field.name != "units")
"""Columns of the table that an utterance is read from."""
