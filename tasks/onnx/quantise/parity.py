"""How far a file may lie from the PyTorch model that it was made from."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Parity:
    """How far the file's log-probabilities lie from PyTorch's, at most, and how far they may."""

    difference: float
    allowed: float

    @property
    def fault(self) -> str:
        """Why the file is no use; empty where it is close enough."""
        if self.difference <= self.allowed:  # false for NaN
            return ""
        return (
            f"log-probabilities differ from PyTorch's by up to {self.difference:.2g}; at most {self.allowed:.2g} "
            "is allowed"
        )
