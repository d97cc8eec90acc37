"""CTC's best path, over frames that come whole or piece by piece."""

import numpy as np
import numpy.typing as npt

from kd.runtime.words import BLANK_INDEX, Unit


class Greedy:
    """The likeliest unit of each frame, repeats merged, blanks dropped (Graves et al. 2006, sec. 3.2)."""

    def __init__(self) -> None:
        self._closed: list[Unit] = []
        self._run = (BLANK_INDEX, 0, 0, 0.0)  # unit, first frame, frames, summed log-probability
        self._frames = 0

    def push(self, log_probs_TV: npt.NDArray[np.float32]) -> None:
        if not len(log_probs_TV):
            return
        best_T = log_probs_TV.argmax(axis=1)
        changes = np.flatnonzero(np.diff(best_T)) + 1
        for part in np.split(np.arange(len(best_T)), changes):
            unit, value = int(best_T[part[0]]), float(log_probs_TV[part, best_T[part[0]]].sum())
            held, first, count, total = self._run
            if unit == held:
                self._run = (held, first, count + len(part), total + value)
                continue
            self._close()
            self._run = (unit, self._frames + int(part[0]), len(part), value)
        self._frames += len(best_T)

    def units(self) -> list[Unit]:
        """All units so far, the one under way included."""
        return [*self._closed, *self._open()]

    def take(self) -> list[Unit]:
        """The units that are over; they are forgotten here, so that a stream may go on for ever."""
        taken, self._closed = self._closed, []
        return taken

    @property
    def silent_frames(self) -> int:
        """Frames since the last unit ended; 0 while one is under way."""
        unit, first, _, _ = self._run
        return self._frames - first if unit == BLANK_INDEX else 0

    def _close(self) -> None:
        self._closed += self._open()

    def _open(self) -> list[Unit]:
        unit, first, count, total = self._run
        return [] if unit == BLANK_INDEX else [Unit(unit, first, first + count, total / count)]
