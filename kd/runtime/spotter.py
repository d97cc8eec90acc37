"""Phrases never trained, found in the output of a CTC recogniser.

Of each stretch of frames, the best path that spells the phrase is held against the best path at all: the sum over
frames of log P(unit of the phrase) - log P(likeliest unit), divided by the phrase's letters. The score is 0 where the
model would have written just that, and the more negative the more it would have had to be talked out of.
Legend: T frames, V units, S states.
"""

from bisect import bisect, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import exp

import numpy as np
import numpy.typing as npt

from kd.runtime.phrases import Graph, Phrase, build
from kd.runtime.recogniser import LogProbs
from kd.runtime.words import BLANK_INDEX, SPACE

LOWEST = -6.0  # nats a letter; below it nothing is reported at any threshold


@dataclass(frozen=True)
class Hit:
    """A phrase at output frames from start to before end; score in nats a letter, at most 0."""

    phrase: str
    start: int
    end: int
    score: float

    @property
    def confidence(self) -> float:
        """Geometric mean, over letters, of the phrase's probability as a share of the likeliest text's."""
        return exp(self.score)


class Spotter:
    """Finds phrases. Hits of one phrase never overlap: the best one stays."""

    def __init__(self, phrases: Sequence[Phrase], tokens: Sequence[str]) -> None:
        self.phrases, self._graph = phrases, build(phrases, tokens)
        self._space = tokens.index(SPACE) if SPACE in tokens else None

    def __call__(self, log_probs_TV: LogProbs) -> list[Hit]:
        """Hits of at least LOWEST, in order of their start."""
        return self.through([log_probs_TV])

    def through(self, parts: Iterable[LogProbs], lowest: float = LOWEST) -> list[Hit]:
        """Hits of at least `lowest` in frames that come in parts, in order of their start."""
        lowest, search = max(lowest, LOWEST), _Search(self._graph)
        found: list[list[Hit]] = [[] for _ in self.phrases]
        for costs_TV in self._costs(parts):
            scores, starts, ends = search.push(costs_TV)
            for i, phrase in enumerate(self.phrases):
                candidates = scores[:, i] / len(phrase.letters)
                for t in np.flatnonzero(candidates >= lowest):
                    found[i].append(Hit(phrase.text, int(starts[t, i]), int(ends[t, i]), float(candidates[t])))
        num_frames = search.frames - 2  # without the two edges
        hits = [h for some in found for h in _best_of_overlapping([_inside(hit, num_frames) for hit in some])]
        return sorted(hits, key=lambda hit: (hit.start, hit.phrase))

    def _costs(self, parts: Iterable[LogProbs]) -> Iterator[npt.NDArray[np.float64]]:
        """What each unit loses to the likeliest of its frame, in nats.

        One frame more on both sides, where blank and ▁ cost nothing: the audio's ends are boundaries of words.
        """
        edge_1V = None
        for log_probs_TV in parts:
            if not len(log_probs_TV):
                continue
            if edge_1V is None:
                edge_1V = np.full((1, log_probs_TV.shape[1]), -np.inf)
                edge_1V[0, [BLANK_INDEX] if self._space is None else [BLANK_INDEX, self._space]] = 0.0
                yield edge_1V
            yield (log_probs_TV - log_probs_TV.max(axis=1, keepdims=True)).astype(np.float64)
        if edge_1V is not None:
            yield edge_1V


class _Search:
    """Of each frame and phrase, the best path that ends there: its sum, first and last sounding frame."""

    def __init__(self, graph: Graph) -> None:
        self.frames = 0
        self._before_SP, self._units_S, self._finals = graph.before_SP, np.array(graph.units_S), graph.finals
        self._enters_S, self._starts_S, self._sounds_S = (
            np.array(flags) for flags in (graph.enters_S, graph.starts_S, graph.sounds_S)
        )
        self._total = np.full(len(self._units_S) + 1, -np.inf)
        self._start, self._end = (np.zeros(len(self._units_S) + 1, np.int64) for _ in range(2))

    def push(
        self, costs_TV: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Frames counted from the edge before the audio."""
        total, start, end, states = self._total, self._start, self._end, np.arange(len(self._units_S))
        scores = np.full((len(costs_TV), len(self._finals)), -np.inf)
        spans = np.zeros((2, len(costs_TV), len(self._finals)), np.int64)
        for row, cost_V in enumerate(costs_TV):
            t = self.frames + row
            chosen_S = self._before_SP[states, total[self._before_SP].argmax(axis=1)]
            best_S = total[chosen_S]
            fresh_S = self._enters_S & (best_S < 0)
            first_S = fresh_S | (self._starts_S & (chosen_S != states))
            start[:-1] = np.where(first_S, t, start[chosen_S])
            end[:-1] = np.where(self._sounds_S, t + 1, end[chosen_S])
            total[:-1] = np.where(fresh_S, 0.0, best_S) + cost_V[self._units_S]
            for i, last in enumerate(self._finals):
                state = max(last, key=lambda s: total[s])
                scores[row, i], spans[0, row, i], spans[1, row, i] = total[state], start[state], end[state]
        self.frames += len(costs_TV)
        return scores, spans[0], spans[1]


def _inside(hit: Hit, num_frames: int) -> Hit:
    """In frames of the audio, of which there are so many."""
    start, end = (min(max(0, frame - 1), num_frames) for frame in (hit.start, hit.end))
    return replace(hit, start=start, end=end)


def _best_of_overlapping(hits: list[Hit]) -> list[Hit]:
    kept: list[tuple[int, int]] = []
    best: list[Hit] = []
    for hit in sorted(hits, key=lambda hit: (-hit.score, hit.start, hit.end)):
        place = bisect(kept, (hit.start, hit.end))
        before = kept[place - 1][1] <= hit.start if place else True
        after = place == len(kept) or kept[place][0] >= hit.end
        if before and after:
            insort(kept, (hit.start, hit.end))
            best.append(hit)
    return best
