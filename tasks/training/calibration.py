"""What importances that are driven by data look at: the model's loss on training batches with their labels."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice

from torch import Tensor

from kd.audio.frontend import FrontEnd
from kd.config.propagation import DataDriven
from kd.losses.labels import LABEL_LOSSES
from kd.models import Recogniser
from kd.propagation.calibration import Loss, gather
from tasks.data.prepared import Batch, PreparedData, Utterance
from tasks.data.select_utterances import labelled, select_utterances
from tasks.params.pipeline import Params
from tasks.params.trainings import training_of


def calibrator(
    params: Params, name: str, data: PreparedData, frontend: FrontEnd
) -> Callable[[Recogniser, DataDriven], dict[str, Tensor]]:
    """Gives what an importance needs to know of a model on the CPU, from utterances with labels of a student's corpus.

    They are looked for only then; ValueError where there are none.
    """
    supervision, batch_seconds = params.students[name].supervision, training_of(params, name).batch_seconds

    def calibrate(model: Recogniser, importance: DataDriven) -> dict[str, Tensor]:
        utterances = labelled(select_utterances(data, supervision), f"students.{name}")
        return gather(model, importance, _losses(data, utterances, frontend, batch_seconds, importance.batches))

    return calibrate


def _losses(
    data: PreparedData, utterances: Sequence[Utterance], frontend: FrontEnd, batch_seconds: float, count: int
) -> Iterator[Loss]:
    """Losses of a model on the first `count` shuffled training batches, against their labels."""
    batches = data.batches(utterances, batch_seconds, shuffle=(0, 0))
    for batch in islice(batches, count):
        features_BTF, frames_B = frontend(batch.waveform_BN, batch.lengths_B)
        yield partial(_loss, batch, features_BTF, frames_B)


def _loss(batch: Batch, features_BTF: Tensor, frames_B: Tensor, model: Recogniser) -> Tensor:
    logits_BTV, lengths_B = model(features_BTF, frames_B)
    return LABEL_LOSSES[model.settings.problem](logits_BTV, lengths_B, batch.targets_BL, batch.target_lengths_B)
