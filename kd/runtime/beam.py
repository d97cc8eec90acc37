"""CTC prefix beam search with words' scores, over frames that come whole or piece by piece.

Hannun et al. 2014, arXiv:1408.2873, alg. 1, in logarithms. Beside each prefix's probability over all its paths,
the best single path is kept, which gives the units their frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp, inf, log1p
from typing import NamedTuple
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from kd.runtime.scorer import Scorer, State
from kd.runtime.words import BLANK_INDEX, Unit

CUTOFF = -9.0  # units less likely than this, in nats, begin nothing


class Path(NamedTuple):
    """The best path to a prefix: its log-probability, and its units as a list linked backwards."""

    log_prob: float
    units: "Link | None"


class Link(NamedTuple):
    """A frame's unit behind another, from frame `start` to `end`, with the log-probability of the best path so far."""

    before: "Link | None"
    unit: int
    start: int
    end: int
    total: float


class Prefix:
    """A node of the tree of unit sequences: there is one for each sequence."""

    __slots__ = ("__weakref__", "children", "parent", "state", "unit")

    def __init__(self, parent: "Prefix | None", unit: int, state: State) -> None:
        self.parent, self.unit, self.state = parent, unit, state
        self.children: WeakValueDictionary[int, Prefix] = WeakValueDictionary()


@dataclass(slots=True)
class Entry:
    """Log-probabilities of a prefix, ending in a blank or in its last unit, and the best path of each kind."""

    blank: float = -inf
    unit: float = -inf
    path_blank: Path = field(default=Path(-inf, None))
    path_unit: Path = field(default=Path(-inf, None))

    @property
    def total(self) -> float:
        return _add(self.blank, self.unit)

    @property
    def path(self) -> Path:
        return max(self.path_blank, self.path_unit, key=lambda path: path.log_prob)


class Beam:
    """Beam search that keeps `size` prefixes."""

    def __init__(self, tokens: Sequence[str], size: int, scorer: Scorer) -> None:
        self._tokens, self._size, self._scorer = tokens, size, scorer
        root = Prefix(None, BLANK_INDEX, scorer.start)
        self._beam = {root: Entry(blank=0.0, path_blank=Path(0.0, None))}
        self._frames = 0

    def push(self, log_probs_TV: npt.NDArray[np.float32]) -> None:
        for frame_V in log_probs_TV.astype(float):
            likely = np.flatnonzero(frame_V > CUTOFF).tolist()
            grown = self._grow(frame_V.tolist(), [unit for unit in likely if unit != BLANK_INDEX])
            ranked = sorted(grown.items(), key=lambda item: -(item[1].total + item[0].state.score))
            self._beam = dict(ranked[: self._size])
            self._frames += 1

    def units(self) -> list[Unit]:
        """The best prefix so far. Where a word list leaves none whole, the last word of the best one is dropped."""
        ends = ((self._scorer.close(prefix.state), prefix, entry) for prefix, entry in self._beam.items())
        whole = [(score + entry.total, entry.path.units) for score, _, entry in ends if score is not None]
        if whole:
            return _unlink(max(whole, key=lambda pair: pair[0])[1])
        prefix, entry = max(self._beam.items(), key=lambda item: item[1].total + item[0].state.score)
        link, node = entry.path.units, prefix
        while link is not None and node.parent is not None and self._scorer.close(node.state) is None:
            link, node = link.before, node.parent
        return _unlink(link)

    def _grow(self, frame: list[float], likely: list[int]) -> dict[Prefix, Entry]:
        grown: dict[Prefix, Entry] = {}
        now = self._frames
        for prefix, entry in self._beam.items():
            total, path = entry.total, entry.path
            stay = grown.setdefault(prefix, Entry())
            stay.blank = _add(stay.blank, total + frame[BLANK_INDEX])
            stay.path_blank = _better(stay.path_blank, Path(path.log_prob + frame[BLANK_INDEX], path.units))
            if prefix.parent is not None:
                value = frame[prefix.unit]
                stay.unit = _add(stay.unit, entry.unit + value)
                stay.path_unit = _better(stay.path_unit, _held(entry.path_unit, value, now))
            for unit in likely:
                child = self._child(prefix, unit)
                if child is None:
                    continue
                repeated = unit == prefix.unit and prefix.parent is not None
                before, way = (entry.blank, entry.path_blank) if repeated else (total, path)
                if before == -inf:
                    continue
                new = grown.setdefault(child, Entry())
                new.unit = _add(new.unit, before + frame[unit])
                link = Link(way.units, unit, now, now + 1, frame[unit])
                new.path_unit = _better(new.path_unit, Path(way.log_prob + frame[unit], link))
        return grown

    def _child(self, prefix: Prefix, unit: int) -> Prefix | None:
        child = prefix.children.get(unit)
        if child is None:
            state = self._scorer.extend(prefix.state, self._tokens[unit])
            if state is None:
                return None
            child = prefix.children[unit] = Prefix(prefix, unit, state)
        return child


def _held(path: Path, value: float, now: int) -> Path:
    """The path whose last unit goes on for one more frame."""
    if path.units is None:
        return path
    longer = path.units._replace(end=now + 1, total=path.units.total + value)
    return Path(path.log_prob + value, longer)


def _better(a: Path, b: Path) -> Path:
    return a if a.log_prob >= b.log_prob else b


def _add(a: float, b: float) -> float:
    """ln(e^a + e^b)."""
    high, low = (a, b) if a >= b else (b, a)
    return high if low == -inf else high + log1p(exp(low - high))


def _unlink(link: Link | None) -> list[Unit]:
    units = []
    while link is not None:
        count = link.end - link.start
        units.append(Unit(link.unit, link.start, link.end, link.total / count))
        link = link.before
    return units[::-1]
