"""Common Voice as Mozilla distributes it: TSV tables whose quotes do not quote, and a folder of clips."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from tasks.data.corpora.raw import Fault, Place, RawUtterance
from tasks.data.corpora.sources import opened_here, sources
from tasks.data.tables import Columns, read_table
from tasks.params.corpus_formats import CommonVoiceCorpus

_COLUMNS = Columns(texts=("client_id", "path", "sentence"), needed=("path", "sentence"))


def common_voice_rows(corpus: CommonVoiceCorpus, place: Place) -> Iterator[RawUtterance]:
    """Rows of all tables; a client is a speaker. A clip that is in two tables is put aside the second time, by its id.

    Raises ValueError naming file, row and column where a table cannot be understood.
    """
    for source in sources(corpus.files, corpus, place):
        with opened_here(source) as file:
            rows = read_table(file, _COLUMNS, source.absent(corpus), form=".tsv")
            for number, row in enumerate(place.reporter.progress(rows, label=source.name), start=1):
                clip = row.text("path")
                yield RawUtterance(
                    id=f"{number:07d}-unnamed" if clip is None else PurePosixPath(clip).stem,
                    path=None if clip is None else source.beside(f"{corpus.clips}/{clip}"),
                    text=row.text("sentence"),
                    root=corpus.root.as_posix(),
                    speaker=row.text("client_id"),
                    split=source.split,
                    fault=Fault("missing_file", f"{row.where}: no path") if clip is None else None,
                )
