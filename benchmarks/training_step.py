"""What a step of training costs on the CPU, by its parts, and against torch's own parts.

    python benchmarks/training_step.py --steps 20

Each family is trained on batches of 60 s of utterances of 2 to 4 s, as the default run cuts them (80 mel bins, CTC over
29 units, AdamW, one thread). Two variants take turns in one process: as it is, and `plain`: convolution, dropout and
optimiser of torch, and a batch norm that takes valid frames out of the batch and puts them back. Milliseconds are
those that the thread was computing, medians over steps; `ratio` is the median over steps of plain to as it is.
`products` is the share of the step, as it is, that goes into matrix products (torch's profiler; recurrent cells count,
convolutions do not). Below stands the front end on the same batches, by the Fourier transform and by matrices as in
exported files.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that it runs from a checkout, by its path alone

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from kd.audio.frontend import make_front_end
from kd.config.frontend import FrontEndSettings
from kd.config.models import ModelSettings
from kd.config.training import AdamW
from kd.losses import ctc
from kd.models import Recogniser, build
from kd.models.convolution import TimeConv1d
from kd.models.dropout import Dropout
from kd.models.normalisation import FrameBatchNorm
from kd.training.optim import make_optimiser
from tasks.data.prepared import plan

SHAPES = {
    "cnn, the default teacher": {
        "family": "cnn", "stem": 96, "width": 144, "layers": 6, "hidden": 432, "kernel": 11,
    },
    "cnn, a tenth": {"family": "cnn", "stem": 40, "width": 48, "layers": 6, "hidden": 104, "kernel": 11},
    "rnn, bidirectional LSTM": {
        "family": "rnn", "cell": "lstm", "stem": 96, "width": 144, "layers": 3, "hidden": 144,
    },
    "conformer": {
        "family": "conformer", "stem": 96, "width": 144, "layers": 4, "heads": 4, "head_dim": 36,
        "feed_forward_1": 288, "feed_forward_2": 288, "channels": 144, "kernel": 11,
    },
}  # fmt: skip
PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::mkldnn_rnn_layer", "aten::mkldnn_rnn_layer_backward")
PARTS = ("forward", "loss", "backward", "optimiser")
Batch = tuple[Tensor, Tensor, Tensor, Tensor]


class Learner:
    """A model with its optimiser, whose steps are timed."""

    def __init__(self, shape: dict[str, object], fused: bool) -> None:
        torch.manual_seed(0)
        settings = {"problem": "transcription", "num_features": 80, "num_outputs": 29, "encoder": shape}
        self.model: Recogniser = build(ModelSettings.model_validate(settings)).train()
        self.optimiser = make_optimiser([(1.0, list(self.model.parameters()))], AdamW(name="adamw", lr=1e-3))
        if not fused:
            self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=1e-3)

    def step(self, batch: Batch) -> dict[str, float]:
        """Milliseconds of each part."""
        features_BTF, lengths_B, targets_BL, target_lengths_B = batch
        stamps = [time.thread_time()]
        logits_BTV, frames_B = self.model(features_BTF, lengths_B)
        stamps.append(time.thread_time())
        loss = ctc(logits_BTV, frames_B, targets_BL, target_lengths_B)
        stamps.append(time.thread_time())
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        stamps.append(time.thread_time())
        nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimiser.step()
        stamps.append(time.thread_time())
        return {part: 1e3 * (stamps[i + 1] - stamps[i]) for i, part in enumerate(PARTS)}


@contextmanager
def plain_parts() -> Iterator[None]:
    """Within, the models compute as torch's own modules do."""
    with ExitStack() as stack:
        stack.enter_context(patch.object(TimeConv1d, "_conv_forward", nn.Conv1d._conv_forward))
        stack.enter_context(patch.object(Dropout, "draws", lambda self, like: False))
        stack.enter_context(patch.object(FrameBatchNorm, "forward", gathered))
        yield


def gathered(norm: FrameBatchNorm, x_BTC: Tensor, mask_BT: Tensor) -> Tensor:
    """torch's batch norm over the valid frames, taken out and put back."""
    out_BTC, valid_BT = torch.zeros_like(x_BTC), mask_BT > 0
    out_BTC[valid_BT] = nn.BatchNorm1d.forward(norm, x_BTC[valid_BT])
    return out_BTC


def make_batches(count: int) -> tuple[list[tuple[Tensor, Tensor]], float]:
    """Waveforms with lengths, as the default run batches them, and the share of padding."""
    rng = np.random.default_rng(0)
    num_samples = (rng.uniform(2.0, 4.0, 2_400) * 16_000).astype(int)
    chosen = plan(num_samples.tolist(), 60.0 * 16_000, shuffle=(1, 0))[:count]
    found, padding = [], []
    for indices in chosen:
        lengths_B = torch.from_numpy(num_samples[list(indices)])
        found.append((0.1 * torch.randn(len(indices), int(lengths_B.max())), lengths_B))
        padding.append(1 - float(lengths_B.sum()) / found[-1][0].numel())
    return found, statistics.mean(padding)


def with_targets(features_BTF: Tensor, lengths_B: Tensor) -> Batch:
    """Eight units a second."""
    target_lengths_B = lengths_B * 8 // 100
    return features_BTF, lengths_B, torch.randint(1, 29, (len(lengths_B), 40)), target_lengths_B


def timed(name: str, batches: list[Batch], steps: int) -> list[str]:
    """A row of the table."""
    ours, plain = Learner(SHAPES[name], fused=True), Learner(SHAPES[name], fused=False)
    found: dict[str, list[dict[str, float]]] = {"ours": [], "plain": []}
    for number in range(-2, steps):
        batch = batches[number % len(batches)]
        one = ours.step(batch)
        with plain_parts():
            other = plain.step(batch)
        if number >= 0:
            found["ours"].append(one)
            found["plain"].append(other)
    parts = [f"{statistics.median(step[part] for step in found['ours']):.1f}" for part in PARTS]
    whole = {variant: [sum(step.values()) for step in times] for variant, times in found.items()}
    ratio = statistics.median(b / a for a, b in zip(whole["ours"], whole["plain"], strict=True))
    medians = [f"{statistics.median(whole[variant]):.1f}" for variant in ("ours", "plain")]
    return [name, *parts, *medians, f"{ratio:.2f}", f"{share_of_products(ours, batches[0]):.0%}"]


def share_of_products(learner: Learner, batch: Batch) -> float:
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        for _ in range(3):
            learner.step(batch)
    times = {event.key: event.self_cpu_time_total for event in profile.key_averages()}
    return float(sum(times.get(name, 0.0) for name in PRODUCTS) / sum(times.values()))


def front_end_ms(waveforms: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """Median milliseconds of a batch, by each way."""
    ways: dict[str, Callable[[Tensor, Tensor], object]] = {
        "Fourier transform": make_front_end(FrontEndSettings()),
        "matrices": make_front_end(FrontEndSettings(), as_exported=True),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for waveform_BN, lengths_B in waveforms * 3:
        for name, front_end in ways.items():
            start = time.thread_time()
            front_end(waveform_BN, lengths_B)
            found[name].append(1e3 * (time.thread_time() - start))
    return {name: statistics.median(times) for name, times in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--only", default="", help="of the shapes, those whose name holds this")
    options = parser.parse_args()
    torch.set_num_threads(1)
    waveforms, padding = make_batches(6)
    front_end = make_front_end(FrontEndSettings())
    batches = [with_targets(*front_end(*waveform)) for waveform in waveforms]
    console = Console(width=140)
    table = Table(title=f"a step on 60 s of audio, {padding:.0%} padding beside it, ms of one thread")
    for column in ("model", *PARTS, "step", "plain", "ratio", "products"):
        table.add_column(column)
    for name in SHAPES:
        if options.only in name:
            table.add_row(*timed(name, batches, options.steps))
    console.print(table)
    console.print(", ".join(f"front end by {name}: {ms:.1f} ms" for name, ms in front_end_ms(waveforms).items()))


if __name__ == "__main__":
    main()
