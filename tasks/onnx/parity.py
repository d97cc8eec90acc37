"""How far an ONNX file lies from the PyTorch model that it was made from, and how far it may."""

from dataclasses import dataclass
from pathlib import Path

import torch

from kd.runtime.session import open_session
from tasks.onnx.onnx_module import Exported

PARITY_TOLERANCE = 1e-4
HALF_TOLERANCE = 0.1
PARITY_FRAMES = ((53,), (400,), (9, 16), (120, 50, 83))


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


def compare(module: Exported, path: Path, tolerance: float = PARITY_TOLERANCE) -> Parity:
    """Compare PyTorch and the file over batches of many shapes.

    Allowed is the tolerance, or four times PyTorch's own rounding error where that is more. Raises
    RuntimeError where lengths differ.
    """
    session, differences, roundings = open_session(path), [], []
    for seed, frames in enumerate(PARITY_FRAMES):
        x, lengths_B = module.batch(frames, seed)
        with torch.no_grad():
            expected, exact = module(x, lengths_B), module.exact(x, lengths_B)
        names = module.inputs()
        found = session.run(None, dict(zip(names, (x.numpy(), lengths_B.numpy()), strict=True)))
        log_probs, valid = (expected, None) if module.keyword else expected
        if valid is not None and found[1].tolist() != valid.tolist():
            raise RuntimeError(
                f"{path}: of inputs with {frames} frames the file makes {found[1].tolist()} frames, PyTorch "
                f"{valid.tolist()}. The file cannot be used"
            )
        for row in range(len(frames)):
            rows = slice(None) if valid is None else slice(int(valid[row]))
            differences.append((torch.from_numpy(found[0])[row][rows] - log_probs[row][rows]).abs().max())
            roundings.append((log_probs[row][rows] - exact[row][rows]).abs().max())
    worst = float(torch.stack(differences).max())  # NaN where any is NaN
    return Parity(worst, max(tolerance, 4 * float(torch.stack(roundings).max())))


def parity(module: Exported, path: Path) -> Parity:
    """The differences that `compare` finds; raises RuntimeError where they differ by more than is allowed."""
    found = compare(module, path)
    if found.fault:
        raise RuntimeError(
            f"{path}: {found.fault}. The file cannot be used; it stays in place to be looked into. "
            "Has the training diverged?"
        )
    return found
