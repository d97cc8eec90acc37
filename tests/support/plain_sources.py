"""Oracles of what training reads from files: a teacher that runs on every batch, features of audio as it is."""

from collections.abc import Iterator, Sequence
from fractions import Fraction

from torch import Tensor

from kd.audio.augment import AS_RECORDED
from kd.audio.frontend import FrontEnd
from tasks.data.prepared import Batch, PreparedData, Utterance
from tasks.teachers.posterior_teacher import PosteriorTeacher
from tasks.training.batch_teacher import Posteriors, TeacherBatch
from tasks.training.feature_cache import Source


class LiveOutputs:
    """A teacher that runs on every batch anew."""

    encoder = None

    def __init__(self, teacher: PosteriorTeacher) -> None:
        self.teacher = teacher

    def of(self, teacher_batch: TeacherBatch) -> Posteriors:
        return Posteriors(*self.teacher.posteriors(*teacher_batch.audio))


def unperturbed(
    data: PreparedData, utterances: Sequence[Utterance], front_end: FrontEnd, batch_seconds: float = 60.0
) -> Source:
    """Copies of the utterances as they are."""

    def batches(_: int) -> Iterator[tuple[Batch, Sequence[Fraction], Tensor, Tensor]]:
        for batch in data.batches(utterances, batch_seconds):
            yield batch, [AS_RECORDED] * len(batch.ids), *front_end(batch.waveform_BN, batch.lengths_B)

    return batches
