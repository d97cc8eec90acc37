"""Errors by independent blocks, and their spread by leaving out one at a time. Legend: N utterances, S speakers."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def checked(
    errors_N: Sequence[float], units_N: Sequence[float], speakers_N: Sequence[str | None]
) -> tuple[Array, Array]:
    """Errors and units as arrays. Raises ValueError where columns differ in length, or nothing was measured."""
    errors, units = np.asarray(errors_N, float), np.asarray(units_N, float)
    if not len(errors) == len(units) == len(speakers_N):
        raise ValueError(f"{len(errors)} errors, {len(units)} units and {len(speakers_N)} speakers: one each is needed")
    if units.sum() <= 0:
        raise ValueError("an interval needs references, and these hold no unit. Is the split empty?")
    return errors, units


def blocks_of(speakers_N: Sequence[str | None]) -> tuple[NDArray[np.intp], str]:
    """The independent block of each utterance, and what a block is."""
    keys = [f"utterance {i}" if s is None else f"speaker {s}" for i, s in enumerate(speakers_N)]
    names, block_N = np.unique(keys, return_inverse=True)
    if len(names) == 1:
        return np.arange(len(keys)), "utterances of one speaker"
    known = any(s is not None for s in speakers_N)
    return block_N, f"{len(names)} {'speakers' if known else 'utterances of unknown speakers'}"


def ratio_and_spread(top_N: Array, units_N: Array, block_N: NDArray[np.intp]) -> tuple[float, float]:
    """Σ top ÷ Σ units and its standard error: over blocks, and at least that over single utterances."""
    over_blocks = jackknife_error(sums(top_N, block_N), sums(units_N, block_N))
    return float(top_N.sum() / units_N.sum()), max(over_blocks, jackknife_error(top_N, units_N))


def sums(values_N: Array, block_N: NDArray[np.intp]) -> Array:
    """Sum over each block."""
    return np.bincount(block_N, values_N).astype(float)


def jackknife_error(top_S: Array, units_S: Array) -> float:
    """Standard error of Σ top ÷ Σ units from leaving out one block at a time; 0 with a single block."""
    count = len(top_S)
    rest_S = units_S.sum() - units_S
    if count < 2 or (rest_S <= 0).any():
        return 0.0
    without_S = (top_S.sum() - top_S) / rest_S
    error = float(np.sqrt((count - 1) / count * np.square(without_S - without_S.mean()).sum()))
    return error if error > 1e-12 else 0.0
