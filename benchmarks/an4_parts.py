"""CMU AN4's manifest in two tables, for studies in which few training utterances have a transcript.

`python benchmarks/an4_parts.py ../shared/data/an4 scratch/an4` writes tenth.csv (every tenth training utterance, and
the test part) and rest.csv (all others), beside a copy of the audio. studies/whisper-an4.yaml reads them.
"""

import shutil
import sys
from pathlib import Path

import pandas as pd

EVERY = 10


def part(source: Path, target: Path) -> tuple[int, int]:
    """Write both tables; returns the training utterances in each."""
    rows = pd.read_csv(source / "manifest.csv", keep_default_na=False)
    training = rows["split"] == "train"
    chosen = training & ((training.cumsum() - 1) % EVERY == 0)
    target.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source / "audio", target / "audio", dirs_exist_ok=True)  # a link would lead out of corpus.root
    rows[chosen | ~training].to_csv(target / "tenth.csv", index=False)
    rows[training & ~chosen].to_csv(target / "rest.csv", index=False)
    return int(chosen.sum()), int((training & ~chosen).sum())


if __name__ == "__main__":
    print("training utterances: {} in tenth.csv, {} in rest.csv".format(*part(Path(sys.argv[1]), Path(sys.argv[2]))))
