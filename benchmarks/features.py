"""Features on the fly or cached? Times of one epoch in one run, as ratios to the training of a small student.

    python benchmarks/features.py --seconds 2000

Random audio is prepared as the pipeline prepares it. Three ways of feeding the same batches to one thread are timed
in turn, several times over: the waveform alone, the waveform through the front end, and float16 features from a memory
map. The student's training step (forward, CTC, backward, AdamW) is timed on the first batches and scaled to an epoch.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import accumulate, islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that it runs from a checkout, by its path alone
sys.path.insert(1, str(Path(__file__).parents[1] / "tests" / "support"))

import numpy as np
import pandas as pd
import torch
from plain_sources import unperturbed
from rich.console import Console
from rich.table import Table
from torch import Tensor

from kd.audio.frontend import FrontEnd, make_front_end
from kd.config.frontend import FrontEndSettings
from kd.config.models import ModelSettings, RNNSettings
from kd.losses import LABEL_LOSSES
from kd.models import build
from kd.text.vocabulary import Vocabulary
from tasks.data.prepared import Batch, PreparedData
from tasks.training.feature_cache import FeatureCache

ALPHABET = "abcdefghijklmnopqrstuvwxyz' "
BATCH_SECONDS = 60.0
SHUFFLE = (1, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2_000.0, help="audio of one epoch")
    parser.add_argument(
        "--repeats", type=int, default=5, help="epochs timed for each way of feeding; the median counts"
    )
    parser.add_argument("--steps", type=int, default=6, help="training steps timed, after one that is not")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        data = prepare(Path(folder), options.seconds)
        front_end = make_front_end(FrontEndSettings())
        source, num_mels = unperturbed(data, data.utterances, front_end), front_end.settings.num_mels
        cache = FeatureCache.build(Path(folder) / "features", source, 1, num_mels)
        plan = [batch.indices for batch in batches(data)]
        feeds: dict[str, Callable[[], Iterator[object]]] = {
            "waveform alone": lambda: batches(data),
            "features on the fly": lambda: (front_end(b.waveform_BN, b.lengths_B) for b in batches(data)),
            "features cached as float16": lambda: map(cache.read, plan),
        }
        times: dict[str, list[float]] = {name: [] for name in feeds}
        for _ in range(options.repeats):
            for name, feed in feeds.items():
                times[name].append(timed(partial(consume, feed)))
        student_s, params = train_epoch_s(data, front_end, options.steps)
        show({name: statistics.median(values) for name, values in times.items()}, student_s, params, data)


def prepare(folder: Path, seconds: float) -> PreparedData:
    """Utterances of 1 to 8 s of noise, with eight units a second, as the stage preprocess would leave them."""
    rng, rate = np.random.default_rng(1), FrontEndSettings().sample_rate_hz
    sizes = rng.integers(rate, 8 * rate, max(1, round(seconds / 4.5))).tolist()
    with (folder / "audio.i16").open("wb") as file:
        for size in sizes:
            file.write((rng.standard_normal(size) * 3_000).astype("<i2").tobytes())
    texts = ["".join(rng.choice(list(ALPHABET), size // 2_000)) for size in sizes]
    rows = {
        "id": [f"u{i}" for i in range(len(sizes))],
        "text": texts,
        "speaker": None,
        "split": "train",
        "offset": [0, *accumulate(sizes[:-1])],
        "num_samples": sizes,
        "audio_hash": "",
        "snr_db": None,
        "source": "",
        "part": "",
    }
    pd.DataFrame(rows).to_parquet(folder / "utterances.parquet")
    description = {"sample_rate_hz": rate, "vocabulary": Vocabulary.characters(ALPHABET).to_dict()}
    (folder / "prepared.json").write_text(json.dumps(description), encoding="utf-8")
    return PreparedData.load(folder)


def batches(data: PreparedData) -> Iterator[Batch]:
    return data.batches(data.utterances, BATCH_SECONDS, shuffle=SHUFFLE)


def train_epoch_s(data: PreparedData, front_end: FrontEnd, steps: int) -> tuple[float, int]:
    """Seconds that an epoch of training a small bidirectional GRU takes, without its input, and its parameters."""
    encoder = RNNSettings.model_validate({"stem": 32, "width": 56, "layers": 2, "hidden": 56})
    settings = ModelSettings(
        problem="transcription", num_features=80, num_outputs=len(data.vocabulary), encoder=encoder
    )
    student = build(settings).train()
    optimiser = torch.optim.AdamW(student.parameters())
    seconds = audio_s = 0.0
    for step, batch in enumerate(islice(batches(data), steps + 1)):
        features_BTF, lengths_B = front_end(batch.waveform_BN, batch.lengths_B)

        def train(batch: Batch = batch, features_BTF: Tensor = features_BTF, lengths_B: Tensor = lengths_B) -> None:
            optimiser.zero_grad()
            logits_BTV, frames_B = student(features_BTF, lengths_B)
            loss = LABEL_LOSSES["transcription"](logits_BTV, frames_B, batch.targets_BL, batch.target_lengths_B)
            torch.autograd.backward(loss)
            optimiser.step()

        took = timed(train)
        if step:
            seconds += took
            audio_s += float(batch.lengths_B.sum()) / data.sample_rate_hz
    total_s = len(data.audio) / data.sample_rate_hz
    return seconds * total_s / audio_s, sum(p.numel() for p in student.parameters())


def consume(feed: Callable[[], Iterator[object]]) -> None:
    for _ in feed():
        pass


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def show(times: dict[str, float], student_s: float, params: int, data: PreparedData) -> None:
    total_s = len(data.audio) / data.sample_rate_hz
    table = Table(title=f"one epoch of {total_s:.0f} s of audio, one thread")
    for column in ("part of the epoch", "seconds", "ratio to the student's training", "ratio to cached"):
        table.add_column(column, justify="left" if "part" in column else "right")
    rows = {**times, f"training a GRU of {params:,} parameters": student_s}
    for name, seconds in rows.items():
        cached = seconds / times["features cached as float16"]
        table.add_row(name, f"{seconds:.3f}", f"{seconds / student_s:.4f}", f"{cached:.2f}")
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
