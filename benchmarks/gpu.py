"""Hours of audio that Whisper's encoder trains on in a second, on a GPU: ours and transformers', up to a full card.

    python benchmarks/gpu.py [--size tiny.en] [--utterance-s 10] [--most-minutes 8] [--device cuda]

A step is forward and backward in bf16 with CTC, and AdamW. Batches double until the memory or --most-batch-s ends; each
is timed over --steps steps after two that are not counted. Ways: `ours` (utterances as long as they are), `ours,
checkpointing`, and transformers' encoder with a head, cut to the utterances' length (`transformers, cut`) and padded to
30 s as Whisper is used (`transformers, padded`). On a CPU: --size small-test --most-batch-s 40.
"""

import argparse
import csv
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that it runs from a checkout, by its path alone

import torch
from torch import Tensor, nn

from kd.config.models import ModelSettings, WhisperSettings
from kd.models import build

SIZES = {
    "small-test": (32, 2, 2, 64),
    "tiny.en": (384, 4, 6, 1_536),
    "base.en": (512, 6, 8, 2_048),
    "small.en": (768, 12, 12, 3_072),
    "medium.en": (1_024, 24, 16, 4_096),
}
"""Width, layers, heads, feed-forward."""
MELS, UNITS, UNCOUNTED, PADDED_S = 80, 32, 2, 30.0
FRAMES_A_SECOND, UNITS_A_SECOND = 100, 8


@dataclass(frozen=True)
class Measured:
    """audio_hours_per_second: of steps alone. peak_gb: of torch's allocator; 0 on a CPU."""

    device: str
    size: str
    way: str
    batch_s: float
    steps: int
    seconds_per_step: float
    audio_hours_per_second: float
    peak_gb: float


class Transformers(nn.Module):
    """transformers' encoder for inputs of one length, mean-pooled to 40 ms, with a linear head."""

    def __init__(self, size: str, frames: int) -> None:
        super().__init__()
        from transformers import WhisperConfig
        from transformers.models.whisper.modeling_whisper import WhisperEncoder

        width, layers, heads, hidden = SIZES[size]
        shape = {
            "d_model": width,
            "encoder_layers": layers,
            "encoder_attention_heads": heads,
            "encoder_ffn_dim": hidden,
        }
        self.encoder = WhisperEncoder(WhisperConfig(**shape, max_source_positions=frames // 2, dropout=0.0))
        self.head, self.frames = nn.Linear(width, UNITS), frames

    def forward(self, features_BTF: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        padded_BTF = nn.functional.pad(features_BTF, (0, 0, 0, self.frames - features_BTF.shape[1]))
        x_BTD = self.encoder(padded_BTF.transpose(1, 2)).last_hidden_state
        x_BTD = x_BTD[:, : features_BTF.shape[1] // 2].unflatten(1, (-1, 2)).mean(2)
        return self.head(x_BTD), lengths_B // 4


def ours(size: str, checkpointing: bool = False) -> nn.Module:
    width, layers, heads, hidden = SIZES[size]
    encoder = WhisperSettings.model_validate(
        {
            "stem": width,
            "width": width,
            "layers": layers,
            "heads": heads,
            "head_dim": width // heads,
            "feed_forward": hidden,
        }
    )
    settings = ModelSettings(problem="transcription", num_features=MELS, num_outputs=UNITS, encoder=encoder)
    model = build(settings)
    model.encoder.set_gradient_checkpointing(checkpointing)
    return model


def ways(size: str, frames: int) -> Iterator[tuple[str, Callable[[], nn.Module]]]:
    yield "ours", lambda: ours(size)
    yield "ours, checkpointing", lambda: ours(size, checkpointing=True)
    yield "transformers, cut", lambda: Transformers(size, frames)
    yield "transformers, padded", lambda: Transformers(size, round(PADDED_S * FRAMES_A_SECOND))


def stepper(model: nn.Module, device: torch.device, count: int, frames: int) -> Callable[[], None]:
    """One step of training on a batch of so many utterances of so many feature frames."""
    model = model.to(device).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    features_BTF = torch.randn(count, frames, MELS, device=device)
    lengths_B = torch.full((count,), frames, device=device)
    targets = round(frames / FRAMES_A_SECOND * UNITS_A_SECOND)
    targets_BL = torch.randint(1, UNITS, (count, targets), device=device)
    target_lengths_B = torch.full((count,), targets, device=device)

    def step() -> None:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            logits_BTV, frames_B = model(features_BTF, lengths_B)
        log_probs_TBV = logits_BTV.float().log_softmax(2).transpose(0, 1)
        loss = nn.functional.ctc_loss(log_probs_TBV, targets_BL, frames_B, target_lengths_B)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()

    return step


def measured(
    options: argparse.Namespace, way: str, make: Callable[[], nn.Module], device: torch.device, count: int, frames: int
) -> Measured | None:
    """None where the memory does not hold it."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    try:
        step = stepper(make(), device, count, frames)
        for _ in range(UNCOUNTED):
            step()
        wait(device)
        start = time.perf_counter()
        for _ in range(options.steps):
            step()
        wait(device)
    except torch.OutOfMemoryError:
        return None
    seconds = (time.perf_counter() - start) / options.steps
    audio_s = count * options.utterance_s
    peak = torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else 0.0
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    rate = audio_s / 3600 / seconds
    return Measured(name, options.size, way, audio_s, options.steps, round(seconds, 5), round(rate, 4), round(peak, 2))


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def rows(options: argparse.Namespace) -> Iterator[Measured]:
    """Every way at growing batches, each batch by all ways before the next, as long as time and memory last."""
    device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    frames = round(options.utterance_s * FRAMES_A_SECOND / 4) * 4
    left, count, end = (
        dict(ways(options.size, frames)),
        options.first_utterances,
        time.monotonic() + 60 * options.most_minutes,
    )
    while left and count * options.utterance_s <= options.most_batch_s:
        for way, make in list(left.items()):
            if time.monotonic() > end:
                return
            found = measured(options, way, make, device, count, frames)
            if found is None:
                del left[way]
            else:
                yield found
        count *= 2


def parsed(arguments: list[str] | None = None) -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="tiny.en")
    parser.add_argument("--utterance-s", type=float, default=10.0)
    parser.add_argument("--first-utterances", type=int, default=4)
    parser.add_argument("--most-batch-s", type=float, default=100_000.0)
    parser.add_argument("--most-minutes", type=float, default=8.0)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--device", default="")
    parser.add_argument("--csv", type=Path, help="write the rows here too")
    return parser.parse_args(arguments)


def main() -> None:
    options = parsed()
    found = []
    for row in rows(options):
        found.append(row)
        print(
            f"{row.way:22} {row.batch_s:8.0f} s a batch  {row.audio_hours_per_second:8.3f} h of audio a second  "
            f"{row.peak_gb:6.2f} GB",
            flush=True,
        )
    if options.csv and found:
        with options.csv.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, list(asdict(found[0])))
            table.writeheader()
            table.writerows(map(asdict, found))


if __name__ == "__main__":
    main()
