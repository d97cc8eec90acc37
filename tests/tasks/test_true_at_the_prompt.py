"""The report's transcripts are those of `kd transcribe` on the original files."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from kd.config.models import ModelSettings
from kd.models import build
from kd.runtime.program import main
from tasks.checkpoint import Checkpoint, save_checkpoint
from tasks.data.prepared import PreparedData
from tasks.stages import evaluate, export

ENCODER = {"family": "cnn", "stem": 8, "width": 16, "layers": 1, "hidden": 16, "kernel": 3}


def chirp(seconds: float, rate_hz: int, level: float, seed: int) -> np.ndarray:
    """Gliding tones with pauses: something in which an untrained network tells frames apart."""
    rng, times_s = np.random.default_rng(seed), np.arange(int(seconds * rate_hz)) / rate_hz
    glide_hz = rng.uniform(200, 1500) * (1 + np.sin(2 * np.pi * rng.uniform(0.5, 2) * times_s))
    tone_N = np.sin(2 * np.pi * np.cumsum(glide_hz) / rate_hz) * (np.sin(2 * np.pi * 3 * times_s) > -0.3)
    return level * (tone_N + 0.01 * rng.standard_normal(len(times_s)))


def written_model(project, params) -> None:
    """An untrained model whose best units differ from frame to frame."""
    data = PreparedData.load(project.paths.prepared)
    settings = ModelSettings.model_validate(
        {"problem": "transcription", "num_features": 80, "num_outputs": len(data.vocabulary), "encoder": ENCODER}
    )
    torch.manual_seed(5)
    model = build(settings)
    model.set_statistics(torch.full((80,), -9.0), torch.full((80,), 4.0))
    with torch.no_grad():
        model.head.weight *= 20
    checkpoint = Checkpoint(
        model.eval(), params.frontend, data.vocabulary, role="teacher", init="random", objective="labels"
    )
    save_checkpoint(project.paths.model("teacher"), checkpoint)


@pytest.mark.parametrize("frontend_included", [False, True])
def test_the_reports_transcripts_are_those_of_the_prompt(project, capsys, frontend_included: bool) -> None:
    stereo_N2 = np.stack([chirp(2.0, 44_100, 0.2, 8), 0.5 * chirp(2.0, 44_100, 0.2, 9)], axis=1)
    test = {
        "as it is": project.write("plain.wav", chirp(1.5, 16_000, 0.2, 1)),
        "quiet": project.write("quiet.wav", chirp(1.5, 16_000, 0.003, 2)),
        "loud": project.write("loud.flac", np.clip(chirp(1.5, 16_000, 3.0, 3), -1, 1)),
        "telephone": project.write("telephone.wav", chirp(2.0, 8_000, 0.1, 4)),
        "stereo": project.write("stereo.wav", stereo_N2, 44_100),
        "silent edges": project.write("edges.wav", np.pad(chirp(1.0, 16_000, 0.2, 6), 16_000)),
        "long": project.write("long.wav", chirp(12.0, 16_000, 0.1, 7)),
        "very short": project.write("short.wav", chirp(0.06, 16_000, 0.2, 8)),
    }
    rows = [{"id": name, "path": path, "text": "one two", "split": "test"} for name, path in test.items()]
    for i, split in enumerate(("train", "valid")):
        path = project.write(f"{split}.wav", chirp(2.0, 16_000, 0.1, 20 + i))
        rows.append({"id": split, "path": path, "text": "one two", "split": split})
    project.manifest(rows)
    params = project.params(export={"forms": ["float32"], "frontend_included": frontend_included})
    project.prepare()
    written_model(project, params)
    export.run(params, project.paths, "teacher", project)
    evaluate.run(params, project.paths, "teacher", project)
    table = pd.read_parquet(project.paths.evaluation("teacher") / "utterances.parquet").set_index("id")
    for name, path in test.items():
        capsys.readouterr()
        main(["transcribe", str(project.paths.export("teacher")), str(project.recordings / path)])
        assert capsys.readouterr().out == table.loc[name, "hypothesis"] + "\n", name
    assert table.loc[list(test), "hypothesis"].nunique() == len(test), "the untrained network says something of each"


def test_a_reference_that_no_unit_can_write_is_counted_as_wrong(project, tmp_path: Path) -> None:
    rows = [
        {"id": split, "path": project.write(f"{split}.wav", chirp(2.0, 16_000, 0.1, i)), "text": text, "split": split}
        for i, (split, text) in enumerate({"train": "one", "valid": "two", "test": "route 66"}.items())
    ]
    project.manifest(rows)
    params = project.params(export={"forms": ["float32"]})
    project.prepare()
    written_model(project, params)
    export.run(params, project.paths, "teacher", project)
    evaluate.run(params, project.paths, "teacher", project)
    table = pd.read_parquet(project.paths.evaluation("teacher") / "utterances.parquet").set_index("id")
    assert table.loc["test", "reference_units"] == 2
    assert table.loc["test", "errors"] >= 1
