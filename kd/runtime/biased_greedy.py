"""Greedy search that favours hotwords, over frames that come whole or piece by piece.

Beside the best path a second one is followed from where a boost would choose another unit. As soon as it is known which
of the two earns more, that one is kept: so a boost that began the wrong phrase is taken back, units and all.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kd.runtime.beam import CUTOFF
from kd.runtime.hotwords import Hotwords
from kd.runtime.words import BLANK_INDEX, Unit

PATIENCE_FRAMES = 15
"""Of silence, for a phrase to go on; then the paths part no longer, so that a stream says what was heard."""


class _Run(NamedTuple):
    """Frames of one unit, or of the blank: the first, how many, and their summed log-probability."""

    unit: int
    first: int
    frames: int
    total: float

    def units(self) -> list[Unit]:
        ended = self.first + self.frames
        return [] if self.unit == BLANK_INDEX else [Unit(self.unit, self.first, ended, self.total / self.frames)]


@dataclass
class _Path:
    """closed: units that are over, since the paths parted; hot: the automaton's state; score: nats, since then."""

    run: _Run
    hot: int
    closed: list[Unit] = field(default_factory=list)
    score: float = 0.0

    def units(self) -> list[Unit]:
        return [*self.closed, *self.run.units()]

    def silence(self) -> int:
        """Frames of the blank at the end."""
        return self.run.frames if self.run.unit == BLANK_INDEX else 0

    def part(self) -> "_Path":
        """Another path that goes on from here."""
        return replace(self, closed=list(self.closed))


class BiasedGreedy:
    """The likeliest unit of each frame, phrases favoured; without a phrase the same as `Greedy`."""

    def __init__(self, tokens: Sequence[str], hotwords: Hotwords) -> None:
        self._tokens, self._hotwords = tokens, hotwords
        self._settled: list[Unit] = []
        self._best = _Path(_Run(BLANK_INDEX, 0, 0, 0.0), hotwords.start)
        self._rival: _Path | None = None
        self._frames = 0

    def push(self, log_probs_TV: npt.NDArray[np.float32]) -> None:
        for frame_V, plain in zip(log_probs_TV, log_probs_TV.argmax(axis=1).tolist(), strict=True):
            rivals = self._rivals(frame_V, plain)
            self._advance(self._best, plain, frame_V)
            self._rival = max(rivals, key=lambda path: path.score, default=None)
            self._settle()
            self._frames += 1

    def units(self) -> list[Unit]:
        """All units so far, the one under way included, as if the text ended here."""
        best, rival = self._best, self._rival
        if rival is not None and self._ended(rival) > self._ended(best):
            best = rival
        return [*self._settled, *best.units()]

    def take(self) -> list[Unit]:
        """The units that are over and that no later frame can change; they are forgotten here."""
        taken, self._settled = self._settled, []
        if self._rival is None:
            taken, self._best.closed = [*taken, *self._best.closed], []
        return taken

    @property
    def silent_frames(self) -> int:
        """Frames since the last unit ended; 0 while one is under way, and while it is open which one was said."""
        run = self._best.run
        return self._frames - run.first if run.unit == BLANK_INDEX and self._rival is None else 0

    def _rivals(self, frame_V: npt.NDArray[np.float32], plain: int) -> list[_Path]:
        """Paths beside the best, one frame on: the one that is followed, and one that parts from the best here."""
        rivals = []
        if self._rival is not None:
            self._advance(self._rival, self._favoured(self._rival, frame_V, plain), frame_V)
            rivals.append(self._rival)
        favoured = self._favoured(self._best, frame_V, plain)
        if favoured != plain:
            if self._rival is None:  # what both have in common no later frame can change
                self._settled += self._best.closed
                self._best.closed, self._best.score = [], 0.0
            rivals.append(self._best.part())
            self._advance(rivals[-1], favoured, frame_V)
        return rivals

    def _favoured(self, path: _Path, frame_V: npt.NDArray[np.float32], plain: int) -> int:
        """The unit with the highest log-probability and boost."""
        chosen, highest = plain, float(frame_V[plain]) + self._gain(path, plain)
        for unit in np.flatnonzero(frame_V > CUTOFF).tolist():
            value = float(frame_V[unit]) + self._gain(path, unit)
            if value > highest:
                chosen, highest = unit, value
        return chosen

    def _gain(self, path: _Path, unit: int) -> float:
        if unit in (BLANK_INDEX, path.run.unit):
            return 0.0
        return self._hotwords.follow(path.hot, self._tokens[unit])[1]

    def _advance(self, path: _Path, unit: int, frame_V: npt.NDArray[np.float32]) -> None:
        run, value = path.run, float(frame_V[unit])
        path.score += value
        if unit == run.unit:
            path.run = _Run(unit, run.first, run.frames + 1, run.total + value)
            return
        path.closed += run.units()
        path.run = _Run(unit, self._frames, 1, value)
        if unit != BLANK_INDEX:
            path.hot, gain = self._hotwords.follow(path.hot, self._tokens[unit])
            path.score += gain

    def _settle(self) -> None:
        """Keep one path, as soon as it is known which earns more: no hope of the other's makes up for the difference.

        After a silence it counts what both would have earned if the text ended here.
        """
        best, rival = self._best, self._rival
        if rival is None:
            return
        if min(best.silence(), rival.silence()) >= PATIENCE_FRAMES:
            if self._ended(rival) > self._ended(best):
                self._best = rival
        elif self._hotwords.hope(rival.hot) == 0.0 and rival.score > best.score:
            self._best = rival
        elif rival.score > best.score - self._hotwords.hope(best.hot) and (
            best.run.unit != rival.run.unit or _indices(best) != _indices(rival)
        ):
            return
        self._rival = None

    def _ended(self, path: _Path) -> float:
        return path.score + self._hotwords.close(path.hot)


def _indices(path: _Path) -> list[int]:
    return [unit.index for unit in path.units()]
