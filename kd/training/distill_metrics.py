"""Diagnostics of a few batches of an epoch, summed so that several processes add up. See kd/training/diagnostics.py.

What is compared is what the loss compares: the student's view as it was masked, with dropout on.
"""

from collections.abc import Sequence

import torch
from accelerate import Accelerator
from torch import Tensor

from kd.training import diagnostics
from kd.training.inputs import Inputs
from kd.training.objective import Objective, StudentTeacherPair, Term, weighted
from kd.training.student_with_heads import Outputs

BATCHES, LEAST_APART = 3, 30
"""Batches of an epoch that are measured, and how many lie between two, so that it costs next to nothing."""
LONGEST = 50
"""Delays beyond so many frames count as that many."""
NAMES = (
    "blank", "blank_frames", "spoken", "spoken_frames", "entropy", "frames", "features", "common", "spikes",
    "label_square", "distill_square", "batches",
)  # fmt: skip


class DistillMetrics:
    """Collects sums over the measured batches of one epoch, and gives their means."""

    def __init__(self, objective: Objective, per_epoch: int, accelerator: Accelerator) -> None:
        self.objective, self.accelerator = objective, accelerator
        self.every = max(LEAST_APART, per_epoch // BATCHES)
        self.sums = dict.fromkeys(NAMES, 0.0)
        self.delays = torch.zeros(2 * LONGEST + 1, dtype=torch.float64)

    def measures(self, batch: int) -> bool:
        """Whether the batch of this number (from 0) is measured; never without a teacher."""
        return self.objective.schedule.uses_teacher and batch % self.every == 0

    def add(
        self, outputs: Outputs, inputs: Inputs, terms: Sequence[Term], shares: Sequence[float], groups: int = 1
    ) -> None:
        """Measure one batch, or one of so many groups of its utterances, before its backward pass."""
        processes, where = self.accelerator.num_processes, outputs.meeting_point
        for kind in ("label", "distill"):
            parts = [(t, s / processes) for t, s in zip(terms, shares, strict=True) if t.kind == kind]
            if parts:
                norm = diagnostics.gradient_norm(weighted(parts), *where)
                self.sums[f"{kind}_square"] += float(norm) ** 2
        self.sums["batches"] += 1 / processes / groups
        pair = self.objective.pair(outputs, inputs)
        if pair is None:
            return
        self.sums["features"] += float(inputs.lengths_B.sum())
        self._add("entropy", "frames", diagnostics.entropy(pair.teacher_BTV, pair.lengths_B))
        if self.objective.problem == "transcription":
            self._add_spikes(pair)
        else:
            same_B = pair.student_BTV[:, 0].argmax(-1) == pair.teacher_BTV[:, 0].argmax(-1)
            self._add("common", "spikes", same_B.double())

    def _add_spikes(self, pair: StudentTeacherPair) -> None:
        blank, spoken = diagnostics.divergence_by_kind(*pair)
        self._add("blank", "blank_frames", blank)
        self._add("spoken", "spoken_frames", spoken)
        both = (diagnostics.spikes(x, pair.lengths_B) for x in (pair.student_BTV, pair.teacher_BTV))
        for student, teacher in zip(*both, strict=True):
            found = diagnostics.delays(student, teacher)
            self.sums["common"] += 2 * len(found)
            self.sums["spikes"] += len(student) + len(teacher)
            for delay in found:
                self.delays[max(-LONGEST, min(LONGEST, delay)) + LONGEST] += 1

    def _add(self, name: str, count: str, values: Tensor) -> None:
        self.sums[name] += float(values.sum())
        self.sums[count] += len(values)

    def means(self, frame_shift_ms: float) -> dict[str, float]:
        """Columns of the history; one that nothing was found for is left out. Every process calls this at once."""
        sums = self._over_processes()
        found = {
            "blank_kl": (sums["blank"], sums["blank_frames"]),
            "nonblank_kl": (sums["spoken"], sums["spoken_frames"]),
            "blank_share": (sums["blank"], sums["blank"] + sums["spoken"]),
            "teacher_entropy": (sums["entropy"], sums["frames"]),
            "spike_f1": (sums["common"], sums["spikes"]),
        }
        columns = {name: total / count for name, (total, count) in found.items() if count}
        if self.delays.sum():
            delay = diagnostics.histogram_median(self.delays, -LONGEST)
            stride = round(sums["features"] / sums["frames"])
            columns |= {"delay_frames": delay, "delay_ms": delay * stride * frame_shift_ms}
        kinds = {"label": self.objective.settings.label_weight > 0, "distill": True}
        if sums["batches"] and all(kinds.values()):
            columns |= {f"{kind}_gradient": (sums[f"{kind}_square"] / sums["batches"]) ** 0.5 for kind in kinds}
        return columns

    def _over_processes(self) -> dict[str, float]:
        if self.accelerator.num_processes > 1:
            own = torch.cat([torch.tensor(list(self.sums.values()), dtype=torch.float64), self.delays])
            both = self.accelerator.reduce(own.to(self.accelerator.device, torch.float32)).cpu().double()
            self.delays = both[len(NAMES) :]
            return dict(zip(NAMES, both.tolist(), strict=False))
        return self.sums
