"""What preparation did with a corpus: what it kept, put aside, merged and mended. For the log and the data card."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kd.runtime.audio_decoder import Remark
from tasks.data.corpora.raw import RawUtterance
from tasks.data.preparation.card import Card
from tasks.data.preparation.classes import Classes
from tasks.data.preparation.prepare import Prepared
from tasks.data.preparation.quarantine import Quarantine, Quarantined, check_share
from tasks.data.utterance import Utterance

_DONE: Mapping[str, str] = {
    "offset": "an offset was taken away from {}",
    "channels": "channels that cancel each other gave way to the loudest in {}",
    "header": "a header that says another length was not believed in {}",
}


@dataclass
class Treated:
    """Recordings that could be used only after something was done to them, by kind, with the first of each.

    An utterance that is put aside later for another reason counts too; pieces of one count once.
    """

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, dict[str, str]] = field(default_factory=dict)

    def add(self, source: str, remarks: tuple[Remark, ...]) -> None:
        for kind, text in dict(reversed(remarks)).items():  # an utterance joined of several recordings counts once
            self.counts[kind] += 1
            self.examples.setdefault(kind, {"file": source, "what": text})

    def facts(self) -> dict[str, Any]:
        return {kind: {"utterances": self.counts[kind], "example": self.examples[kind]} for kind in sorted(self.counts)}

    def remarks(self) -> Iterator[str]:
        for kind in sorted(self.counts):
            count, example = self.counts[kind], self.examples[kind]
            done = _DONE[kind].format(f"{count} recording{'' if count == 1 else 's'}")
            yield f"{done}, such as {example['file']}: {example['what']}"


@dataclass
class Account:
    """Told of each row as it comes, and of what becomes of it. classes: of a keyword problem."""

    quarantine: Quarantine
    card: Card
    classes: Classes | None
    treated: Treated = field(default_factory=Treated)

    def give(self, row: RawUtterance) -> RawUtterance:
        """A row of the corpus that has its part."""
        if self.classes is not None and row.text is not None and row.is_labelled and row.split is not None:
            self.classes.give(row.text, row.split)
        return row

    def add(self, prepared: Prepared) -> None:
        """What passed on its own."""
        utterance = prepared.utterance
        self.treated.add(utterance.source, prepared.remarks)
        if self.classes is not None and utterance.text and utterance.split == "train":
            self.classes.train(utterance.text)

    def keep(self, row: Utterance) -> None:
        self.card.add(row)
        if self.classes is not None and row.text:
            self.classes.keep(row.text)

    def put_aside(self, row: Quarantined) -> None:
        self.quarantine.add(row)
        if self.classes is not None:
            self.classes.put_aside(row)

    def check(self, total: int, max_share: float, kept_at: Path) -> None:
        """Raises ValueError where too much of `total` rows is put aside, or all of what a class trains on."""
        check_share(self.quarantine, total, max_share, kept_at)
        if self.classes is not None:
            self.classes.refuse_lost(kept_at)

    def facts(self) -> dict[str, Any]:
        """What the data card has beside its counts."""
        classes = {} if self.classes is None else {"classes": self.classes.facts()}
        return {"recordings": self.treated.facts(), **classes}

    def remarks(self) -> Iterator[str]:
        yield f"quarantine: {self.quarantine.summary}"
        yield from self.treated.remarks()
        if self.classes is not None:
            yield from self.classes.remarks()
