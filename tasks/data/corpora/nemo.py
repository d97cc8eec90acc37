"""Manifests of NeMo, one JSON object a line: https://docs.nvidia.com/nemo-framework (ASR, preparing datasets)."""

from collections.abc import Iterator
from pathlib import PurePath

from tasks.data.corpora.raw import Fault, Place, RawUtterance
from tasks.data.corpora.sources import Source, opened_here, sources
from tasks.data.tables import Columns, Row, read_table
from tasks.params.corpus_formats import NemoCorpus


def nemo_rows(corpus: NemoCorpus, place: Place) -> Iterator[RawUtterance]:
    """Rows of all manifests. Paths of audio are relative to their manifest; `offset` and `duration` cut a stretch.

    Raises ValueError naming file and row where a manifest cannot be understood.
    """
    columns = _columns(corpus.text_field)
    for source in sources(corpus.files, corpus, place):
        with opened_here(source) as file:
            rows = read_table(file, columns, source.absent(corpus), form=".jsonl")
            for number, row in enumerate(place.reporter.progress(rows, label=source.name), start=1):
                yield _utterance(corpus, source, number, row)


def _columns(text_field: str) -> Columns:
    return Columns(
        texts=("audio_filepath", text_field, "speaker"),
        numbers=("offset", "duration"),
        needed=("audio_filepath", text_field),
        aliases={"speaker_id": "speaker"},
        unsure=("offset", "duration"),  # preprocessing puts such a row aside
    )


def _utterance(corpus: NemoCorpus, source: Source, number: int, row: Row) -> RawUtterance:
    audio = row.text("audio_filepath")
    start_s, duration_s = row.number("offset"), row.number("duration")
    name = "" if source.split is None else f"{source.split}-"
    return RawUtterance(
        id=f"{name}{PurePath(source.name).stem}-{number:07d}-{PurePath(audio or 'unnamed').stem}",
        path=None if audio is None else source.beside(audio),
        text=row.text(corpus.text_field),
        root=corpus.root.as_posix(),
        speaker=row.text("speaker"),
        split=source.split,
        start_s=start_s,
        end_s=None if duration_s is None else (start_s or 0.0) + duration_s,
        fault=Fault("missing_file", f"{source.name}, row {number}: no audio_filepath") if audio is None else None,
    )
