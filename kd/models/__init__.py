"""Recognisers by family: transcription with CTC and keywords share every encoder."""

from kd.config.models import ModelSettings
from kd.models.cnn import CNNEncoder
from kd.models.conformer import ConformerEncoder
from kd.models.dimensions import Axis, Dimension
from kd.models.patch_cnn import PatchCNNEncoder
from kd.models.recogniser import Recogniser
from kd.models.rnn import RNNEncoder
from kd.models.wav2vec2 import Wav2Vec2Encoder
from kd.models.whisper import WhisperEncoder

FAMILIES = {
    "cnn": CNNEncoder,
    "rnn": RNNEncoder,
    "conformer": ConformerEncoder,
    "whisper": WhisperEncoder,
    "wav2vec2": Wav2Vec2Encoder,
    "patch_cnn": PatchCNNEncoder,
}

__all__ = ["FAMILIES", "Axis", "Dimension", "Recogniser", "build"]


def build(settings: ModelSettings) -> Recogniser:
    """A recogniser with fresh random weights (from torch's global generator)."""
    return Recogniser(settings, FAMILIES[settings.encoder.family])
