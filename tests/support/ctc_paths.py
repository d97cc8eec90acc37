"""Random frames over four units, and every sequence of units in them with its probability, by adding all paths up."""

from itertools import product

import numpy as np

from kd.runtime.recogniser import LogProbs
from kd.runtime.words import Unit

TOKENS = ("<blk>", "a", "b", "▁")


def random_log_probs(num_frames: int, seed: int, sharpness: float = 1.5) -> LogProbs:
    logits = sharpness * np.random.default_rng(seed).standard_normal((num_frames, len(TOKENS)))
    return (logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)).astype(np.float32)


def collapse(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(u for i, u in enumerate(path) if u and (i == 0 or path[i - 1] != u))


def labellings(log_probs_TV: LogProbs) -> dict[tuple[int, ...], float]:
    """ln P of every sequence of units, by adding all paths up."""
    sums: dict[tuple[int, ...], float] = {}
    for path in product(range(len(TOKENS)), repeat=len(log_probs_TV)):
        score = float(sum(log_probs_TV[t, u] for t, u in enumerate(path)))
        key = collapse(path)
        sums[key] = np.logaddexp(sums.get(key, -np.inf), score)
    return sums


def indices(units: list[Unit]) -> tuple[int, ...]:
    return tuple(unit.index for unit in units)
