"""Test utterances to play in the page: FLAC in data URIs, the same bytes for the same audio."""

import base64
import io
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

LONGEST_S = 10.0


def clips(prepared: Path, ids: Iterable[str]) -> dict[str, str]:
    """Data URI of each utterance of data/prepared/; of a longer one, its first ten seconds."""
    rate_hz = int(json.loads((prepared / "prepared.json").read_text(encoding="utf-8"))["sample_rate_hz"])
    table = pd.read_parquet(prepared / "utterances.parquet", columns=["id", "offset", "num_samples"]).set_index("id")
    audio = np.memmap(prepared / "audio.i16", dtype="<i2", mode="r")
    found = {}
    for name in ids:
        start, count = (int(value) for value in table.loc[name].to_numpy())
        found[name] = _data_uri(audio[start : start + min(count, int(LONGEST_S * rate_hz))], rate_hz)
    return found


def _data_uri(samples: "np.ndarray[tuple[int], np.dtype[np.int16]]", rate_hz: int) -> str:
    file = io.BytesIO()
    soundfile.write(file, np.asarray(samples), rate_hz, format="FLAC", subtype="PCM_16")
    return f"data:audio/flac;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
