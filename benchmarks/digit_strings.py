"""Strings of one speaker's recorded digits as WAV files, the same each time, for the benchmarks."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from tasks.data.corpora.fsdd import fsdd_rows
from tasks.data.corpora.phrases import DIGITS
from tasks.data.corpora.raw import Place
from tasks.data.preparation.audio import level
from tasks.params.corpora import ConnectedDigits, FsddCorpus
from tasks.runner.reporter import NullReporter

LEVEL_DBFS = -23.0
EDGE_S = 0.2
FSDD = Path(__file__).parents[2] / "shared" / "data" / "fsdd"


@dataclass(frozen=True)
class DigitString:
    file: Path
    text: str
    duration_s: float

    @property
    def digits(self) -> str:
        return "".join(str(DIGITS.index(word)) for word in self.text.split())


def write_strings(fsdd: Path, folder: Path, speaker: str, count: int, seed: int) -> list[DigitString]:
    """At most `count` strings of three to six digits, as the pipeline makes its test part of a left-out speaker.

    Each at LEVEL_DBFS, as the pipeline's training audio is, with EDGE_S of silence on both sides.
    """
    connected = ConnectedDigits(utterances_per_speaker=count, seed=seed)
    corpus = FsddCorpus(kind="fsdd", root=fsdd.resolve(), connected=connected, test_speaker=speaker)
    rows = [row for row in fsdd_rows(corpus, Place(Path(), folder, NullReporter())) if row.split == "test"]
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for row in rows[:count]:
        read = [soundfile.read(fsdd / part.path, dtype="float32") for part in row.parts or ()]
        rate_hz = read[0][1]
        gaps = [np.zeros(round(part.gap_s * rate_hz), np.float32) for part in row.parts or ()]
        joined_N = np.concatenate(
            [piece for gap, (samples_N, _) in zip(gaps, read, strict=True) for piece in (gap, samples_N)]
        )
        edge_N = np.zeros(round(EDGE_S * rate_hz), np.float32)
        whole_N = np.concatenate([edge_N, level(joined_N, LEVEL_DBFS), edge_N])
        soundfile.write(folder / f"{row.id}.wav", whole_N, rate_hz, subtype="PCM_16")
        made.append(DigitString(folder / f"{row.id}.wav", row.text or "", len(whole_N) / rate_hz))
    return made
