"""Weights that others trained, whoever's they are: by what their folder says, or their file is said to be."""

from pathlib import Path

from tasks.pretrained.encoder_weights import EncoderWeights
from tasks.pretrained.torchaudio_models import read_bundle
from tasks.pretrained.wav2vec2 import CALLED, read_wav2vec2
from tasks.pretrained.weight_files import read_json
from tasks.pretrained.whisper import read_whisper


def read_pretrained(path: Path, bundle: str | None = None) -> EncoderWeights:
    """The encoder of a folder or file; bundle: whose weights of torchaudio.pipelines the file holds.

    Raises ValueError, which names the file or the key that is not understood.
    """
    if bundle is not None:
        return read_bundle(bundle, path)
    if (path / "config.json").is_file() and read_json(path / "config.json").get("model_type") in CALLED:
        return read_wav2vec2(path)
    return read_whisper(path)
