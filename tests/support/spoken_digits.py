"""Real recordings of digits, and a small recogniser trained on them for seconds: bad, and good enough to compare."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import soxr
import torch

from kd.audio.frontend import make_front_end
from kd.config.frontend import FrontEndSettings
from kd.config.models import ModelSettings
from kd.models import build
from kd.text.vocabulary import Vocabulary
from tasks.checkpoint import Checkpoint, save_checkpoint
from tasks.data.corpora.phrases import DIGITS
from tasks.params.pipeline import ExportParams, Params
from tasks.runner.paths import Paths
from tasks.stages import export

RATE_HZ = 16_000
FSDD = Path(__file__).parents[3] / "shared" / "data" / "fsdd" / "wav"
CNN = {"family": "cnn", "stem": 24, "width": 48, "layers": 3, "hidden": 96, "kernel": 9, "dropout": 0.0}

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Spoken:
    text: str
    samples_N: Samples


def need_recordings() -> None:
    """Skips the test where there are none."""
    if not FSDD.is_dir():
        pytest.skip(f"no real recordings at {FSDD}")


def exported(root: Path, name: str, encoder: dict[str, Any], epochs: int) -> Path:
    """The folder of an export of a model that was trained here."""
    need_recordings()
    paths = Paths(root)
    save_checkpoint(paths.model(name), train(encoder, strings(240, (1, 4), seed=1), epochs))
    export.run(Params.model_construct(export=ExportParams(forms=("float32",))), paths, name)
    return paths.export(name)


def strings(
    count: int, length: tuple[int, int], seed: int, speakers: Sequence[str] = ("jackson", "theo")
) -> list[Spoken]:
    """Strings of one speaker's digits with short pauses, at 16 kHz, about -23 dBFS, as 16 bits hold them."""
    rng = np.random.default_rng(seed)
    spoken = []
    for number in range(count):
        speaker = speakers[number % len(speakers)]
        digits = rng.integers(0, 10, rng.integers(length[0], length[1] + 1)).tolist()
        parts: list[Samples] = []
        for digit in digits:
            samples_N, rate_hz = soundfile.read(FSDD / f"{digit}_{speaker}_{rng.integers(0, 50)}.wav", dtype="float32")
            parts += [soxr.resample(samples_N, rate_hz, RATE_HZ), np.zeros(rng.integers(800, 4_000), np.float32)]
        joined_N = np.concatenate(parts)
        joined_N *= 0.07 / np.sqrt(np.mean(joined_N**2))
        as_written_N = (np.round(joined_N * 32768).clip(-32768, 32767) / 32768).astype(np.float32)
        spoken.append(Spoken(" ".join(DIGITS[digit] for digit in digits), as_written_N))
    return spoken


def train(encoder: dict[str, Any], spoken: Sequence[Spoken], epochs: int, seed: int = 0) -> Checkpoint:
    """A recogniser of digits, letter by letter."""
    torch.manual_seed(seed)
    vocabulary, front = Vocabulary.characters("efghinorstuvwxz "), FrontEndSettings()
    settings = {"problem": "transcription", "num_features": front.num_mels, "num_outputs": len(vocabulary)}
    model = build(ModelSettings.model_validate({**settings, "encoder": encoder})).train()
    features = [
        make_front_end(front)(torch.from_numpy(s.samples_N)[None], torch.tensor([len(s.samples_N)]))[0][0]
        for s in spoken
    ]
    joined_TF = torch.cat(features)
    model.set_statistics(joined_TF.mean(0), joined_TF.std(0))
    optimiser = torch.optim.AdamW(model.parameters(), lr=6e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, total_steps=epochs * -(-len(spoken) // 16))
    for _ in range(epochs):
        for rows in torch.randperm(len(spoken)).split(16):
            batch_BTF = torch.nn.utils.rnn.pad_sequence([features[i] for i in rows], batch_first=True)
            logits_BTV, lengths_B = model(batch_BTF, torch.tensor([len(features[i]) for i in rows]))
            targets = [torch.tensor(vocabulary.encode(spoken[i].text)) for i in rows]
            loss = torch.nn.functional.ctc_loss(
                logits_BTV.log_softmax(2).transpose(0, 1),
                torch.cat(targets),
                lengths_B,
                torch.tensor([len(t) for t in targets]),
                zero_infinity=True,
            )
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimiser.step()
            schedule.step()
    return Checkpoint(model.eval(), front, vocabulary, role="student", init="random", objective="labels")


def write(file: Path, spoken: Spoken, rate_hz: int = RATE_HZ) -> str:
    """The name of a WAV file of it."""
    soundfile.write(file, spoken.samples_N, rate_hz)
    return str(file)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What was printed since."""
    return capsys.readouterr().out.splitlines()
