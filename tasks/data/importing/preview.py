"""What is in a corpus, before anything is written: counts of its rows, and what preparation makes of the first of them.

A recording is treated as the stage preprocess treats it. What that stage does by looking at the whole corpus is left
to it: units, whether transcripts align, duplicates further on.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tasks.data.corpora import CORPORA
from tasks.data.corpora.raw import Place, RawUtterance
from tasks.data.preparation.prepare import Plan, prepare
from tasks.data.preparation.quarantine import Quarantined
from tasks.data.preparation.store import Draft
from tasks.params.corpus_formats import CorpusOfOthers, paths_by_part
from tasks.params.pipeline import Params
from tasks.runner.paths import Paths
from tasks.runner.reporter import NullReporter, Reporter

SHOWN = 5  # utterances
LISTED = ("nemo", "kaldi", "common_voice", "manifest")
"""Kinds whose rows cost nothing to count, for their audio lies elsewhere; of others no more is read than is decoded."""


@dataclass
class PartSeen:
    """Counts of one part. Memory grows with its speakers alone."""

    utterances: int = 0
    unlabelled: int = 0
    decoded: int = 0
    seconds: float = 0.0
    whole: bool = True
    speakers: set[str] = field(default_factory=set)

    @property
    def hours(self) -> float:
        """Of what is kept; where not all was decoded, as many times that as there are utterances."""
        return self.seconds / 3600 * (self.utterances / self.decoded if self.decoded else 0.0)


@dataclass
class Preview:
    """first: the first utterances, with their lengths in seconds (None: put aside). aside: reason to those with it."""

    parts: dict[str, PartSeen] = field(default_factory=dict)
    first: list[tuple[RawUtterance, float | None]] = field(default_factory=list)
    aside: Counter[str] = field(default_factory=Counter)
    examples: dict[str, Quarantined] = field(default_factory=dict)

    @property
    def kept(self) -> float:
        """Seconds."""
        return sum(part.seconds for part in self.parts.values())

    @property
    def shared_speakers(self) -> list[str]:
        """Those who are in more than one part."""
        counts = Counter(speaker for part in self.parts.values() for speaker in part.speakers)
        return sorted(speaker for speaker, count in counts.items() if count > 1)


def preview(params: Params, paths: Paths, most: int, reporter: Reporter) -> Preview:
    """Look through params.corpus, decoding at most so many utterances of each part (0: all); writes nothing."""
    seen = Preview()
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        place = Place(paths.root, folder / "made", NullReporter(), str(folder / "made"))
        place.out.mkdir()
        plan = replace(Plan.of(params, paths.root), fetched=folder / "fetched")
        with Draft(folder, params.frontend.sample_rate_hz) as draft:
            whole = bool(getattr(params.corpus, "tars", None))
            listed = params.corpus.kind in LISTED and not whole
            looker = _Looker(seen, plan, draft, most, listed, place.lies_in, alone=not whole)
            for corpus in each_part(params.corpus):
                rows = CORPORA[corpus.kind](corpus, place)
                for row in reporter.progress(rows, label="looking"):
                    if not looker.look(row):
                        break
    return seen


def each_part(corpus: Any) -> Iterator[Any]:
    """The corpus part by part, so that the first of each can be looked at alone; or as it is."""
    if not isinstance(corpus, CorpusOfOthers):
        yield corpus
        return
    key, paths = paths_by_part(corpus)
    yield from (corpus.model_copy(update={key: {part: name}}) for part, name in paths.items())


@dataclass
class _Looker:
    seen: Preview
    plan: Plan
    draft: Draft
    most: int
    listed: bool
    made: str
    alone: bool
    """Whether what is made is made row by row."""
    last: str | None = None

    def look(self, row: RawUtterance) -> bool:
        """Count a row, and decode it where that is wanted; False: no more of this part is."""
        part = self.seen.parts.setdefault(row.split or "all", PartSeen())
        wanted = not self.most or part.decoded < self.most
        if not wanted and not self.listed:
            part.whole = False
            return False
        part.utterances += 1
        part.unlabelled += not row.is_labelled
        if row.speaker is not None:
            part.speakers.add(row.speaker)
        if wanted:
            self._decode(row, part)
        return True

    def _decode(self, row: RawUtterance, part: PartSeen) -> None:
        part.decoded += 1
        kept: float | None = None
        for outcome in prepare(replace(row, split=row.split or "train"), self.plan):
            bad = outcome if isinstance(outcome, Quarantined) else self.draft.add(outcome)
            if bad is not None:
                self.seen.aside[bad.reason.value] += 1
                self.seen.examples.setdefault(bad.reason.value, bad)
            elif not isinstance(outcome, Quarantined):
                kept = (kept or 0.0) + outcome.utterance.num_samples / self.plan.sample_rate_hz
        part.seconds += kept or 0.0
        if part.decoded <= SHOWN and len(self.seen.first) < SHOWN:
            self.seen.first.append((row, kept))
        self._forget(row)

    def _forget(self, row: RawUtterance) -> None:
        """A recording that was made of an archive goes once the next comes: several rows may be of one."""
        if row.root == self.made and row.path and self.alone:
            if self.last is not None and self.last != row.path:
                (Path(row.root) / self.last).unlink(missing_ok=True)
            self.last = row.path
