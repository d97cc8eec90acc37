"""What of a model's cost is counted, and needs no file and no clock."""

from kd.config.frontend import FrontEndSettings
from kd.models import Recogniser
from kd.models.macs import count_params, macs_per_audio_second


def counted(model: Recogniser, measure: str, frontend: FrontEndSettings) -> float | None:
    """Parameters, or multiply-accumulates of a second of audio, front end and all; None for another measure."""
    if measure == "params":
        return float(count_params(model)[0])
    if measure == "macs_per_audio_second":
        return macs_per_audio_second(model, model.settings, frontend)
    return None
