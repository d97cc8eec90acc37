"""Damaged recordings in every container, through the runtime at the prompt and through the preparation."""

import os
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
import yaml

from fuzzing.damage import damaged_bytes
from fuzzing.outcomes import refusal
from fuzzing.trials import runtime
from fuzzing.watching import Attempt
from kd.runtime import audio
from kd.runtime.audio_decoder import Recording
from tasks.data.corpora.raw import RawUtterance
from tasks.data.preparation.audio import decode, decode_stretch
from tasks.data.preparation.prepare import Plan, prepare
from tasks.params.load import parse_params
from tasks.params.writing import writing_of

REPO = Path(__file__).parents[3]
HEAD = 128
RATE_HZ = 16_000


def prepared(shared: Path, room: Path) -> Attempt:
    params = parse_params(yaml.safe_load((REPO / "params.yaml").read_text(encoding="utf-8")))
    plan = Plan(room, params.preprocess, RATE_HZ, writing_of(params), room / "fetched")
    model = str(shared / "models" / "exports" / "cnn")

    def attempt(rng: Random, folder: Path) -> str:
        os.chdir(room)
        container = rng.choice(_containers(shared / "containers"))
        file = folder / f"a{rng.choice((container.suffix, container.suffix, '.wav', '.flac', '.mp3', ''))}"
        file.write_bytes(_damaged(rng, container.read_bytes(), shared / "containers"))
        start_s = rng.choice((None, None, 0.0, 0.05, 99.0))
        end_s = rng.choice((None, None, 0.1, 0.12, 1e9))
        outcomes = [
            refusal(lambda: _sound(file, start_s, end_s)),
            runtime(["transcribe", model, str(file), *_options(rng)], file.read_bytes() if rng.random() < 0.2 else b""),
            refusal(lambda: decode(file, start_s, end_s)),
            refusal(lambda: decode_stretch(file, start_s, end_s, RATE_HZ)),
        ]
        for split in ("train", "test"):
            row = RawUtterance("a", file.name, "yes", str(folder), "s", split, start_s, end_s)
            _ = [print(found.detail) for found in prepare(row, plan) if hasattr(found, "detail")]
        return f"{outcomes[0]} / {outcomes[1]}"

    return attempt


def _damaged(rng: Random, data: bytes, containers: Path) -> bytes:
    draw = rng.random()
    if draw < 0.1:
        return data
    if draw < 0.2:  # the beginning of one and the end of another
        other = rng.choice(_containers(containers)).read_bytes()
        return data[: rng.randrange(min(len(data), 200))] + other[rng.randrange(min(len(other), 200)) :]
    return damaged_bytes(rng, data, times=2, head=HEAD)


def _options(rng: Random) -> list[str]:
    return rng.choice(([], ["--format", "json"], ["--format", "vtt"], ["--level", "-23"], ["--chunk-s", "0.05"]))


def _sound(file: Path, start_s: float | None, end_s: float | None) -> None:
    """What is read is sound: finite, within full scale, and as long as is said."""
    recording = Recording.open(file, start_s, end_s)
    samples_N = np.concatenate([np.zeros(0, np.float32), *audio.blocks(recording, RATE_HZ)])
    assert np.isfinite(samples_N).all()
    assert np.abs(samples_N).max(initial=0) <= 1
    assert abs(len(samples_N) / RATE_HZ - recording.duration_s) < 1e-3 + recording.duration_s * 1e-4
    print(*recording.remarks, recording.short, sep="\n")


@cache
def _containers(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())
