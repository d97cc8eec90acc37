"""Data folders of Kaldi (https://kaldi-asr.org/doc/data_prep.html): wav.scp, text, and optionally segments, utt2spk."""

import math
import re
from collections.abc import Iterator
from pathlib import Path

from tasks.data.corpora.keyed import Entry, Keyed
from tasks.data.corpora.raw import Fault, Place, RawUtterance
from tasks.data.corpora.sources import Source, opened_here, sources
from tasks.data.tables.cells import format_cell
from tasks.data.tables.encoding import lines_of
from tasks.params.corpus_formats import KaldiCorpus

_IN_ARCHIVE = re.compile(r"\.ark:\d+$")
_TABLES = ("wav.scp", "text", "utt2spk")


def kaldi_rows(corpus: KaldiCorpus, place: Place) -> Iterator[RawUtterance]:
    """Rows of all data folders: one for each line of segments, or for each recording where there is no such file.

    Paths in wav.scp are relative to corpus.root. Where a speaker is called as the utterance is, which is how Kaldi
    writes that nobody is known, the row has none.

    Raises ValueError naming file, line and what was found where a table is no table, and where wav.scp holds a command:
    none is ever run.
    """
    for source in sources(corpus.folders, corpus, place, key="folders"):
        with Keyed() as tables:
            for name in _TABLES:
                with opened_here(source, name) as file:
                    if name == "wav.scp" and not file.is_file():
                        raise ValueError(f"{source.name}/wav.scp: {source.absent(corpus)}")
                    tables.add(name, _pairs(file, name) if file.is_file() else ())
            yield from place.reporter.progress(_Folder(corpus, source, tables).rows(), label=source.name)


def _pairs(file: Path, name: str) -> Iterator[tuple[int, str, str]]:
    """Line, first word and the rest."""
    for number, line in enumerate(lines_of(file), start=1):
        key, _, value = line.strip().replace("\t", " ").partition(" ")
        value = value.strip()
        if not key:
            continue
        if name == "wav.scp" and (value.endswith("|") or value.startswith("|") or " | " in value):
            raise ValueError(
                f"{file}, line {number}: {key} is the output of a command, {format_cell(value)}, and commands are not "
                "run: name the file itself (SPHERE, FLAC, MP3 and Ogg are read as they are), or write the output to a "
                "file once and name that"
            )
        yield number, key, value


class _Folder:
    """One data folder whose tables are read."""

    def __init__(self, corpus: KaldiCorpus, source: Source, tables: Keyed) -> None:
        self.root, self.source, self.tables = corpus.root.as_posix(), source, tables

    def rows(self) -> Iterator[RawUtterance]:
        with opened_here(self.source, "segments") as segments:
            if segments.is_file():
                for number, name, rest in _pairs(segments, "segments"):
                    yield self._segment(number, name, rest.split())
            else:
                for name, _ in self.tables.keys("wav.scp"):
                    yield self._row(name, name, None, None, None)
            where = "segments" if segments.is_file() else "wav.scp"
        for name, entry in self.tables.unused("text"):
            fault = Fault("missing_file", f"{self.source.name}/text, line {entry.line}: {name} is not in {where}")
            yield RawUtterance(name, None, entry.value or None, self.root, split=self.source.split, fault=fault)

    def _segment(self, number: int, name: str, cells: list[str]) -> RawUtterance:
        """recording, start and end in seconds; an end of -1 is that of the recording."""
        times = [_seconds(cell) for cell in cells[1:3]]
        if len(times) < 2 or any(map(math.isnan, times)):
            found = format_cell(" ".join([name, *cells]))
            detail = f"{self.source.name}/segments, line {number}: expected utterance, recording, start, end: {found}"
            return self._row(name, cells[0] if cells else "", None, None, Fault("bad_segment", detail))
        start_s, end_s = times
        return self._row(name, cells[0], start_s, None if end_s == -1 else end_s, None, number)

    def _row(
        self, name: str, recording: str, start_s: float | None, end_s: float | None, fault: Fault | None, line: int = 0
    ) -> RawUtterance:
        audio = self.tables.get("wav.scp", recording)
        text, speaker = self.tables.get("text", name), self.tables.get("utt2spk", name)
        if fault is None:
            fault = self._fault(recording, audio, line) or self._twice(name, text=text, utt2spk=speaker)
        return RawUtterance(
            id=name,
            path=audio.value if audio else None,
            text=text.value or None if text else None,
            root=self.root,
            speaker=speaker.value if speaker and speaker.value not in ("", name) else None,
            split=self.source.split,
            start_s=start_s,
            end_s=end_s,
            fault=fault,
        )

    def _fault(self, recording: str, audio: Entry | None, line: int) -> Fault | None:
        folder = self.source.name
        if audio is None:
            return Fault("missing_file", f"{folder}/segments, line {line}: recording {recording} is not in wav.scp")
        place = f"{folder}/wav.scp, line {audio.line}"
        if not audio.value:
            return Fault("missing_file", f"{place}: {recording} names no file")
        if _IN_ARCHIVE.search(audio.value):
            detail = f"{place}: {audio.value} is a place in an archive: write its recordings to files of their own"
            return Fault("unreadable", detail)
        return self._twice(recording, **{"wav.scp": audio})

    def _twice(self, key: str, **entries: Entry | None) -> Fault | None:
        for name, entry in entries.items():
            if entry is not None and entry.twice is not None:
                lines = f"lines {entry.line} and {entry.twice}"
                detail = f"{self.source.name}/{name}, {lines} say different things of {key}: remove one"
                return Fault("duplicate_id", detail)
        return None


def _seconds(cell: str) -> float:
    try:
        return math.nan if "_" in cell else float(cell)
    except ValueError:
        return math.nan
