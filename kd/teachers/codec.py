"""A teacher's distributions over units, packed: a frame's log-probabilities, or the largest and the mass of the rest.

Legend: V units, K units kept; `...` stands for any leading dimensions, such as frames.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Records = npt.NDArray[np.void]

LOWEST = float(np.finfo(np.float16).min)
"""What stands for a log-probability beyond float16: finite, so that no loss meets 0 times infinity."""


@dataclass(frozen=True)
class Codec:
    """One record a frame: `kept` log-probabilities as float16; below `num_units` also which, and the rest's mass.

    Packing moves a log-probability by at most 2**-11 of its size. What is not kept shares its mass evenly, so that
    KL(teacher || unpacked) is at most mass * log(V - K) nats, besides that rounding.
    """

    num_units: int
    kept: int

    @classmethod
    def of(cls, num_units: int, keep: int | None) -> Self:
        """The `keep` likeliest units; all of them where that takes no more bytes, or where keep is None."""
        whole = cls(num_units, num_units)
        if keep is None or keep >= num_units:
            return whole
        part = cls(num_units, keep)
        return part if part.bytes_per_frame < whole.bytes_per_frame else whole

    @property
    def dtype(self) -> np.dtype[np.void]:
        """A frame's record: log_probs and, where units are left out, their indices and the log of the rest's mass."""
        fields: list[Any] = [("log_probs", "<f2", (self.kept,))]
        if self.kept < self.num_units:
            index = np.min_scalar_type(self.num_units - 1).newbyteorder("<")
            fields += [("rest", "<f2"), ("units", index, (self.kept,))]
        return np.dtype(fields)

    @property
    def bytes_per_frame(self) -> int:
        return self.dtype.itemsize

    def pack(self, logits: Tensor) -> Records:
        """Records (...) of logits or log-probabilities (..., V). Raises ValueError for another number of units."""
        if logits.shape[-1] != self.num_units:
            raise ValueError(
                f"a teacher's output has {logits.shape[-1]} units, but {self.num_units} were expected: those of the "
                "prepared vocabulary. Map the teacher's units to it"
            )
        log_probs = logits.detach().float().cpu().log_softmax(-1)
        records = np.empty(log_probs.shape[:-1], self.dtype)
        if self.kept == self.num_units:
            records["log_probs"] = _half(log_probs)
            return records
        largest, units = log_probs.topk(self.kept, dim=-1)
        rest = log_probs.scatter(-1, units, -torch.inf).logsumexp(-1)
        records["log_probs"], records["rest"], records["units"] = _half(largest), _half(rest), units.numpy()
        return records

    def unpack(self, records: Records) -> Tensor:
        """float32 log-probabilities (..., V) of records (...); each frame's probabilities sum to one."""
        log_probs = _floats(records["log_probs"])
        if self.kept < self.num_units:
            others = _floats(records["rest"]) - np.log(self.num_units - self.kept)
            units = torch.from_numpy(records["units"].astype(np.int64))
            log_probs = others[..., None].repeat_interleave(self.num_units, -1).scatter(-1, units, log_probs)
        return log_probs.log_softmax(-1)


def _half(log_probs: Tensor) -> npt.NDArray[np.float16]:
    half: npt.NDArray[np.float16] = log_probs.clamp(min=LOWEST).half().numpy()
    return half


def _floats(stored: npt.NDArray[np.float16]) -> Tensor:
    return torch.from_numpy(stored.astype(np.float32))
