"""Manifests of NeMo, one JSON object a line: https://docs.nvidia.com/nemo-framework (ASR, preparing datasets)."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import PurePath

from tasks.data.corpora.archives import members
from tasks.data.corpora.extracted import Extracted
from tasks.data.corpora.keyed import Keyed
from tasks.data.corpora.raw import Fault, Place, RawUtterance
from tasks.data.corpora.sources import Source, opened_here, sources
from tasks.data.tables import Columns, Row, read_table
from tasks.params.corpus_formats import NemoCorpus

_SUB = re.compile(r"^(.+)-sub\d+(\.\w+)?$")


def nemo_rows(corpus: NemoCorpus, place: Place) -> Iterator[RawUtterance]:
    """Rows of all manifests. Paths of audio are relative to their manifest; `offset` and `duration` cut a stretch.

    Of a tarred data set they name files in its archives, which are written to data/raw/ as they are.

    Raises ValueError naming file and row where a manifest cannot be understood, or an archive is damaged.
    """
    for part, pattern in corpus.files.items():
        manifests = list(sources({part: pattern}, corpus, place))
        if part not in corpus.tars:
            for manifest in manifests:
                yield from _manifest_rows(corpus, manifest, place)
            continue
        tars = list(sources({part: corpus.tars[part]}, corpus, place, key="tars"))
        shards = zip(manifests, ([tar] for tar in tars), strict=True) if len(manifests) == len(tars) else None
        if shards is None and len(manifests) > 1:
            raise ValueError(
                f"corpus.files.{part} are {len(manifests)} manifests, corpus.tars.{part} {len(tars)} archives: "
                "expected as many, or one manifest of all"
            )
        for number, (manifest, archives) in enumerate(shards or [(manifests[0], tars)]):
            yield from _tarred_rows(corpus, manifest, archives, Extracted(place, f"{part}-{number:05d}"), place)


def _manifest_rows(
    corpus: NemoCorpus, source: Source, place: Place, path_of: Callable[[str], str] | None = None
) -> Iterator[RawUtterance]:
    """path_of: what a name of audio stands for, if not for a file beside the manifest."""
    with opened_here(source) as file:
        rows = read_table(file, _columns(corpus.text_field), source.absent(corpus), form=".jsonl")
        for number, row in enumerate(place.reporter.progress(rows, label=source.name), start=1):
            yield _utterance(corpus, source, number, row, path_of or source.beside)


def _tarred_rows(
    corpus: NemoCorpus, manifest: Source, archives: list[Source], extracted: Extracted, place: Place
) -> Iterator[RawUtterance]:
    """Rows of a manifest; what is in the archives and in no row of it is left out, as NeMo does."""
    with Keyed() as known:
        number = 0
        for archive in archives:
            for name, content in members(archive, corpus):
                number += 1
                known.add("members", [(number, name, extracted.copy(number, content, name))])
        for line, row in enumerate(_manifest_rows(corpus, manifest, place, str), start=1):
            yield _in_archive(row, f"{manifest.name}, row {line}", known, extracted)
        unused = 0
        for _, entry in known.unused("members"):
            extracted.remove(entry.value)
            unused += 1
        if unused:
            place.reporter.say(f"{manifest.name} names none of {unused} files in its archives: they are left out")


def _in_archive(row: RawUtterance, where: str, known: Keyed, extracted: Extracted) -> RawUtterance:
    """The row with the file of the archive; further stretches of one are called NAME-sub2 by NeMo."""
    if row.path is None:
        return row
    entry = known.get("members", row.path) or known.get("members", _SUB.sub(r"\1\2", row.path))
    if entry is None:
        return replace(row, fault=Fault("missing_file", f"{where}: {row.path} is in none of its archives"))
    if entry.twice is not None:
        detail = f"{where}: {row.path} is in its archives more than once: name a manifest for each archive"
        return replace(row, fault=Fault("duplicate_id", detail))
    return replace(row, root=extracted.root, path=entry.value)


def _columns(text_field: str) -> Columns:
    return Columns(
        texts=("audio_filepath", text_field, "speaker"),
        numbers=("offset", "duration"),
        needed=("audio_filepath", text_field),
        aliases={"speaker_id": "speaker"},
        unsure=("offset", "duration"),  # preprocessing puts such a row aside
    )


def _utterance(
    corpus: NemoCorpus, source: Source, number: int, row: Row, path_of: Callable[[str], str]
) -> RawUtterance:
    audio = row.text("audio_filepath")
    start_s, duration_s = row.number("offset"), row.number("duration")
    name = "" if source.split is None else f"{source.split}-"
    return RawUtterance(
        id=f"{name}{source.label}-{number:07d}-{PurePath(audio or 'unnamed').stem}",
        path=None if audio is None else path_of(audio),
        text=row.text(corpus.text_field),
        root=corpus.root.as_posix(),
        speaker=row.text("speaker"),
        split=source.split,
        start_s=start_s,
        end_s=None if duration_s is None else (start_s or 0.0) + duration_s,
        fault=Fault("missing_file", f"{source.name}, row {number}: no audio_filepath") if audio is None else None,
    )
