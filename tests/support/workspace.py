"""A folder as the pipeline leaves it after training: tiny data, tiny models with random weights, histories."""

import atexit
import csv
import json
import shutil
from collections import Counter
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch

from kd.config.frontend import FrontEndSettings
from kd.config.models import ModelSettings
from kd.models import build
from kd.text.vocabulary import Vocabulary
from tasks.checkpoint import Checkpoint, save_checkpoint
from tasks.data.preparation.card import Card, write_card
from tasks.data.utterance import COLUMNS, Utterance
from tasks.metric_names import ERROR_KINDS, error_name
from tasks.params.load import parse_params
from tasks.params.pipeline import Params
from tasks.runner.paths import Paths

RATE_HZ = 8_000
FRONTEND = FrontEndSettings(sample_rate_hz=RATE_HZ, num_mels=16)
TEXTS = {"transcription": ("one two", "two", "three one", "two two"), "keyword": ("one", "two", "three", "turn on")}
ENCODERS: dict[str, dict[str, Any]] = {
    "teacher": {"family": "rnn", "stem": 12, "width": 24, "layers": 2, "hidden": 24},
    "baseline": {"family": "rnn", "stem": 4, "width": 6, "layers": 1, "hidden": 5},
    "distilled": {"family": "rnn", "stem": 4, "width": 6, "layers": 1, "hidden": 5},
}


TRAINING = {"epochs": 3, "batch_seconds": 60}
STILL = {"speeds": [], "room_share": 0.0, "noise_share": 0.0, "telephone_share": 0.0}
"""Augmentation that leaves waveforms as they are."""


def make_params(problem: str = "transcription", **changes: Any) -> Params:
    """Params of a teacher, a baseline and a distilled student; `changes` replace top-level keys."""
    units = {"units": {"kind": "characters"}} if problem == "transcription" else {}
    labels: dict[str, Any] = {"init": "random", "model": ENCODERS["baseline"], "teacher": "none"}
    taught = {**labels, "teacher": "teacher", "objective": {"label_weight": 1.0, "beta": 0.5}}
    return parse_params({
        "problem": {"kind": problem, **units},
        "corpus": {"kind": "manifest", "root": "corpora", "file": "m.csv"},
        "preprocess": {},
        "frontend": FRONTEND.model_dump(),
        "teacher": {"source": "train", "model": ENCODERS["teacher"], "training": TRAINING, "augment": STILL},
        "student_training": TRAINING,
        "students": {"baseline": labels, "distilled": taught},
        "student_augment": STILL,
        "export": {"forms": ["float32"]},
        "evaluation": {"timing_utterances": 5, "timing_repeats": 2},
        **changes,
    })  # fmt: skip


def make_workspace(root: Path, problem: str = "transcription", utterances: int = 24) -> Paths:
    """Prepared data and trained models under `root`: a copy of what is made once in a process.

    Torch's random numbers go on from where making the models left them.
    """
    template, random_state = _template(problem, utterances)
    shutil.copytree(template, root, dirs_exist_ok=True)
    torch.set_rng_state(random_state)
    return Paths(root)


@cache
def _template(problem: str, utterances: int) -> tuple[Path, torch.Tensor]:
    folder = TemporaryDirectory(prefix="workspace-")
    atexit.register(folder.cleanup)
    paths = Paths(Path(folder.name))
    vocabulary = (
        Vocabulary.characters("enowtrhu '") if problem == "transcription" else Vocabulary.labels(TEXTS["keyword"])
    )
    _write_prepared(paths.prepared, TEXTS[problem], vocabulary, utterances)
    for seed, (name, encoder) in enumerate(ENCODERS.items()):
        _write_model(paths.model(name), name, encoder, problem, vocabulary, seed)
    return paths.root, torch.get_rng_state()


def _write_prepared(folder: Path, texts: tuple[str, ...], vocabulary: Vocabulary, count: int) -> None:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    samples = [rng.integers(-9_000, 9_000, n).astype("<i2") for n in rng.integers(4_000, 9_000, count)]
    offsets = np.cumsum([0, *map(len, samples[:-1])]).tolist()
    card, rows = Card(vocabulary.kind == "labels", RATE_HZ), []
    for i, (audio, offset) in enumerate(zip(samples, offsets, strict=True)):
        split = ("train", "test", "valid", "test")[i % 4]
        row = Utterance(
            id=f"utterance-{i:02d}",
            text=texts[i % len(texts)] if i % 8 else texts[1],
            speaker=f"{split}-{i % 3}",
            split=split,
            offset=offset,
            num_samples=len(audio),
            audio_hash=f"{i:08x}",
            snr_db=None if i % 5 == 0 else 5.0 + i,
            source=f"{i}.wav",
            part=("made", "real")[i // 4 % 2],
        )
        card.add(row)
        rows.append({name: getattr(row, name) for name in COLUMNS} | {"duration_s": len(audio) / RATE_HZ})
    pd.DataFrame(rows).to_parquet(folder / "utterances.parquet")
    np.concatenate(samples).tofile(folder / "audio.i16")
    description = {"sample_rate_hz": RATE_HZ, "vocabulary": vocabulary.to_dict()}
    (folder / "prepared.json").write_text(json.dumps(description), encoding="utf-8")
    reasons = Counter({"silent": 2, "too_long": 1})
    lines = [f"{reason}-{i},{reason}.wav,{reason},found\n" for reason, n in reasons.items() for i in range(n)]
    (folder / "quarantine.csv").write_text("id,path,reason,detail\n" + "".join(lines), encoding="utf-8")
    write_card(folder, card, reasons)


def _write_model(
    folder: Path, name: str, encoder: dict[str, Any], problem: str, vocabulary: Vocabulary, seed: int
) -> None:
    settings = ModelSettings.model_validate(
        {"problem": problem, "num_features": FRONTEND.num_mels, "num_outputs": len(vocabulary), "encoder": encoder}
    )
    torch.manual_seed(seed)
    checkpoint = Checkpoint(
        build(settings),
        FRONTEND,
        vocabulary,
        role={"teacher": "teacher", "baseline": "baseline"}.get(name, "student"),
        init="random",
        objective="labels + teacher" if name == "distilled" else "labels",
        lineage=("sliced 2 layers to 1 by l2",) if name == "distilled" else (),
    )
    save_checkpoint(folder, checkpoint)
    with (folder / "history.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        error = error_name("valid_error", ERROR_KINDS[problem])
        table.writerow(("epoch", "train_loss", "label_loss", "distill_loss", "lr", error, "valid_loss"))
        for epoch in (1, 2, 3):
            table.writerow((epoch, 9 / epoch, 9 / epoch, 0.0, 0.002, 0.9 / epoch, 8 / epoch))
