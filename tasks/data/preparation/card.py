"""The data card: what a corpus holds, in numbers and in two plots. The same bytes for the same data."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.data.corpora.raw import SPLITS
from tasks.data.utterance import Utterance
from tasks.runner.atomic_io import whole_file, write_whole

_LONGEST_LABEL = 40  # characters
_BIN_S = 0.5
_TOP = 20
_COLOURS = {"train": "#4477aa", "valid": "#ccbb44", "test": "#ee6677"}


@dataclass
class _Part:
    utterances: int = 0
    unlabelled: int = 0
    seconds: float = 0.0
    speakers: set[str] = field(default_factory=set)
    durations: Counter[int] = field(default_factory=Counter)


@dataclass
class Card:
    """Counts utterances as they pass. Memory grows with the distinct words and speakers only."""

    keyword: bool
    sample_rate_hz: int
    parts: dict[str, _Part] = field(default_factory=lambda: {split: _Part() for split in SPLITS})
    words: Counter[str] = field(default_factory=Counter)

    def add(self, row: Utterance) -> None:
        part, seconds = self.parts[row.split], row.num_samples / self.sample_rate_hz
        part.utterances += 1
        part.seconds += seconds
        part.durations[int(seconds / _BIN_S)] += 1
        if row.speaker is not None:
            part.speakers.add(row.speaker)
        if not row.text:
            part.unlabelled += 1
            return
        self.words.update([row.text] if self.keyword else row.text.split())

    def blocks(self, split: str) -> int:
        """Speakers of a part; its utterances where no speaker is known."""
        return len(self.parts[split].speakers) or self.parts[split].utterances

    def facts(self, quarantine: Counter[str]) -> dict[str, Any]:
        speakers = set().union(*(part.speakers for part in self.parts.values()))
        return {
            "utterances": sum(part.utterances for part in self.parts.values()),
            "hours": _hours(sum(part.seconds for part in self.parts.values())),
            "speakers": len(speakers),
            "speakers_in_more_than_one_split": sum(len(p.speakers) for p in self.parts.values()) - len(speakers),
            "splits": {
                split: {
                    "utterances": part.utterances,
                    "unlabelled": part.unlabelled,
                    "hours": _hours(part.seconds),
                    "speakers": len(part.speakers),
                    "durations": {f"{i * _BIN_S:g}": part.durations[i] for i in sorted(part.durations)},
                }
                for split, part in self.parts.items()
            },
            "labels" if self.keyword else "words": {
                "total": sum(self.words.values()),
                "distinct": len(self.words),
                "commonest": self.commonest(),
            },
            "quarantine": {"total": sum(quarantine.values()), **dict(sorted(quarantine.items()))},
        }

    def commonest(self) -> dict[str, int]:
        return dict(sorted(self.words.items(), key=lambda item: (-item[1], item[0]))[:_TOP])


def write_card(folder: Path, card: Card, quarantine: Counter[str], more: Mapping[str, Any] | None = None) -> None:
    """Write card.json, with what else is to be said of the data, and card.svg."""
    text = json.dumps(card.facts(quarantine) | dict(more or {}), indent=1, ensure_ascii=False)
    write_whole(folder / "card.json", text + "\n")
    _plot(folder / "card.svg", card)


def _hours(seconds: float) -> float:
    return round(seconds / 3600, 4)


def _shortened(name: str) -> str:
    """A label of which the picture has room beside it."""
    return name if len(name) <= _LONGEST_LABEL else name[: _LONGEST_LABEL - 1] + "…"


def _plot(file: Path, card: Card) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from tasks.drawing import save

    with mpl.rc_context({"svg.hashsalt": "data card", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure = Figure(figsize=(10, 4), layout="constrained")
        lengths, words = figure.subplots(1, 2)
        bins = range(1 + max((i for part in card.parts.values() for i in part.durations), default=0))
        below = [0] * len(bins)
        for split, part in card.parts.items():
            heights = [part.durations[i] for i in bins]
            left = [i * _BIN_S for i in bins]
            lengths.bar(left, heights, _BIN_S, below, align="edge", color=_COLOURS[split], label=split)
            below = [a + b for a, b in zip(below, heights, strict=True)]
        lengths.set(xlabel="duration in s", ylabel="utterances", title="Durations")
        lengths.legend(frameon=False)
        commonest = card.commonest()
        words.barh(range(len(commonest)), list(commonest.values()), color="#4477aa")
        words.set_yticks(
            range(len(commonest)), [_shortened(name).replace("$", r"\$") for name in commonest], fontsize=8
        )
        words.invert_yaxis()
        words.set(xlabel="count", title="Labels" if card.keyword else "Commonest words")
        for axes in (lengths, words):
            axes.spines[["top", "right"]].set_visible(False)
        with whole_file(file) as beside:
            save(figure, beside, format="svg", metadata={"Date": None})
