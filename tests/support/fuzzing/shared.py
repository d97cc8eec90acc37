"""What cases begin with, sound and whole: a corpus of made-up recordings, containers of every kind, tiny exports."""

from pathlib import Path

import numpy as np
import soundfile

RATE_HZ = 16_000
CLIPS = [f"{speaker}-{i}.wav" for speaker in "abcdef" for i in range(2)]
ODD_SUBTYPES = ("DPCM_8", "DPCM_16", "DWVW_12", "DWVW_16", "DWVW_24", "DWVW_N", "VOX_ADPCM")
"""Of which soundfile's list is not to be trusted: they are written, where libsndfile does, all the same."""


def make(place: str, kinds: list[str]) -> None:
    folder = Path(place)
    if "tables" in kinds:
        _corpus(folder / "corpus")
    if {"audio", "commands"} & set(kinds):
        _containers(folder / "containers")
        _exports(folder / "models")


def _noise(seconds: float, seed: int, channels: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal((round(seconds * RATE_HZ), channels))).astype(np.float32)


def _corpus(folder: Path) -> None:
    folder.mkdir()
    for i, name in enumerate(CLIPS):
        soundfile.write(folder / name, _noise(0.4, i), RATE_HZ)


def _containers(folder: Path) -> None:
    """Every container and coding that libsndfile writes, short, in one or two channels."""
    folder.mkdir()
    for container in soundfile.available_formats():
        for coding in {*soundfile.available_subtypes(container), *ODD_SUBTYPES}:
            if container == "RAW" or not soundfile.check_format(container, coding):
                continue
            for channels, rate_hz in ((1, 8_000), (2, 16_000), (1, 48_000)):
                file = folder / f"{container}-{coding}-{channels}.{container.lower()}"
                try:
                    soundfile.write(file, _noise(0.15, 1, channels), rate_hz, coding, format=container)
                except (soundfile.LibsndfileError, ValueError):
                    file.unlink(missing_ok=True)


def _exports(folder: Path) -> None:
    """Transcribers that stream and do not, and a keyword model, with random weights."""
    from exportable import ENCODERS
    from tiny_export import export_tiny

    ENCODERS["stream"] = {"family": "cnn", "stem": 4, "width": 8, "layers": 1, "hidden": 6, "kernel": 5, "causal": True}
    for name, encoder, problem in (
        ("cnn", "cnn", "transcription"), ("stream", "stream", "transcription"), ("keyword", "patch_cnn", "keyword")
    ):  # fmt: skip
        export_tiny(folder, encoder, problem, name)
