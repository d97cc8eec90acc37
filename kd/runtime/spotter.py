"""Phrases never trained, found in the output of a CTC transcriber.

Of each stretch of frames, the best path that spells the phrase is held against the best path at all: the sum over
frames of log P(unit of the phrase) - log P(likeliest unit), divided by the phrase's letters. The score is 0 where the
model would have written just that, and the more negative the more it would have had to be talked out of.
Legend: T frames, V units, S states.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

import numpy as np
import numpy.typing as npt

from kd.runtime.phrases import Graph, Phrase, build
from kd.runtime.recogniser import LogProbs
from kd.runtime.words import BLANK, SPACE

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
        if not len(log_probs_TV):
            return []
        scores, starts, ends = _search(self._graph, self._costs(log_probs_TV))
        hits: list[Hit] = []
        for i, phrase in enumerate(self.phrases):
            candidates = scores[:, i] / len(phrase.letters)
            frames = np.flatnonzero(candidates >= LOWEST)
            found = [Hit(phrase.text, int(starts[t, i]), int(ends[t, i]), float(candidates[t])) for t in frames]
            hits += _best_of_overlapping(found)
        return sorted(hits, key=lambda hit: (hit.start, hit.phrase))

    def _costs(self, log_probs_TV: LogProbs) -> npt.NDArray[np.float64]:
        """What each unit loses to the likeliest of its frame, in nats.

        One frame more on both sides, where blank and ▁ cost nothing: the audio's ends are boundaries of words.
        """
        costs_TV = (log_probs_TV - log_probs_TV.max(axis=1, keepdims=True)).astype(np.float64)
        edge_1V = np.full((1, costs_TV.shape[1]), -np.inf)
        edge_1V[0, [BLANK] if self._space is None else [BLANK, self._space]] = 0.0
        return np.concatenate([edge_1V, costs_TV, edge_1V])


def _search(
    graph: Graph, costs_TV: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Of each frame and phrase, the best path that ends there: its sum, first and last sounding frame."""
    before_SP, units_S = graph.before_SP, np.array(graph.units_S)
    enters_S, starts_S, sounds_S = (np.array(flags) for flags in (graph.enters_S, graph.starts_S, graph.sounds_S))
    states = np.arange(len(units_S))
    total = np.full(len(units_S) + 1, -np.inf)
    start, end = (np.zeros(len(units_S) + 1, np.int64) for _ in range(2))
    num_frames, finals = len(costs_TV), graph.finals
    scores = np.full((num_frames, len(finals)), -np.inf)
    spans = np.zeros((2, num_frames, len(finals)), np.int64)
    for t in range(num_frames):
        chosen_S = before_SP[states, total[before_SP].argmax(axis=1)]
        best_S = total[chosen_S]
        fresh_S = enters_S & (best_S < 0)
        first_S = fresh_S | (starts_S & (chosen_S != states))
        start[:-1] = np.where(first_S, t, start[chosen_S])
        end[:-1] = np.where(sounds_S, t + 1, end[chosen_S])
        total[:-1] = np.where(fresh_S, 0.0, best_S) + costs_TV[t, units_S]
        for i, last in enumerate(finals):
            state = max(last, key=lambda s: total[s])
            scores[t, i], spans[0, t, i], spans[1, t, i] = total[state], start[state], end[state]
    inside = (spans - 1).clip(0, num_frames - 2)  # without the frame before the first
    return scores, inside[0], inside[1]


def _best_of_overlapping(hits: list[Hit]) -> list[Hit]:
    kept: list[Hit] = []
    for hit in sorted(hits, key=lambda hit: (-hit.score, hit.start, hit.end)):
        if all(hit.end <= other.start or hit.start >= other.end for other in kept):
            kept.append(hit)
    return kept
