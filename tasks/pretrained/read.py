"""Weights that others trained, whoever's they are: by what their folder says, or their file is said to be."""

from pathlib import Path

from tasks.pretrained.encoder_weights import EncoderWeights
from tasks.pretrained.torchaudio_models import read_bundle
from tasks.pretrained.wav2vec2 import CALLED, read_wav2vec2
from tasks.pretrained.weight_files import read_json
from tasks.pretrained.whisper import read_whisper

WHISPER = "whisper"


def read_pretrained(path: Path, bundle: str | None = None) -> EncoderWeights:
    """The encoder of a folder or file; bundle: whose weights of torchaudio.pipelines the file holds.

    Raises ValueError, which names the file or the key that is not understood.
    """
    if bundle is not None:
        return read_bundle(bundle, path)
    place = path / "config.json"
    kind = read_json(place).get("model_type", WHISPER) if place.is_file() else WHISPER
    if kind in CALLED:
        return read_wav2vec2(path)
    if kind != WHISPER:
        known = ", ".join((WHISPER, *CALLED))
        raise ValueError(f"{place}: model_type is {kind!r}, expected {known}: give a folder of one of them")
    return read_whisper(path)
