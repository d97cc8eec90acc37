"""What many channels come to: their means and powers, and those of their average. Legend: N samples, C channels."""

import numpy as np
import numpy.typing as npt

CANCELLED = 0.01  # share of the channels' power below which their average has lost the sound
FAINT = 1e-9  # power of digital silence but for rounding

Block = npt.NDArray[np.float32]  # (N, C)


class Sums:
    """Means and powers of channels and of their average."""

    def __init__(self, channels: int) -> None:
        self.count = 0
        self._sum_C, self._squares_C = np.zeros(channels), np.zeros(channels)
        self._squares = 0.0

    def add(self, block_NC: Block) -> None:
        exact_NC = block_NC.astype(np.float64)
        self.count += len(block_NC)
        self._sum_C += exact_NC.sum(axis=0)
        self._squares_C += np.square(exact_NC).sum(axis=0)
        self._squares += float(np.square(exact_NC.mean(axis=1)).sum())

    @property
    def means_C(self) -> npt.NDArray[np.float64]:
        return np.asarray(self._sum_C / max(1, self.count))

    @property
    def mean(self) -> float:
        return float(self.means_C.mean())

    @property
    def powers_C(self) -> npt.NDArray[np.float64]:
        """Without the means."""
        return np.asarray(self._squares_C / max(1, self.count) - np.square(self.means_C))

    @property
    def cancels(self) -> bool:
        power = self._squares / max(1, self.count) - self.mean**2
        mean_power = float(self.powers_C.mean())
        return len(self.means_C) > 1 and mean_power > FAINT and power < CANCELLED * mean_power
