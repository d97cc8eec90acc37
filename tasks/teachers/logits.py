"""A teacher's logits of a batch, read from a store."""

from collections.abc import Sequence
from contextlib import nullcontext, suppress
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

from kd.teachers.codec import Codec
from tasks.data.prepared import PreparedData
from tasks.runner.reporter import Reporter
from tasks.teachers.logit_cache import LogitCache
from tasks.teachers.posterior_teacher import PosteriorTeacher
from tasks.teachers.teacher_pass import fill, output_key, output_keys
from tasks.training.batch_teacher import Posteriors, TeacherBatch


class StoredOutputs:
    """A teacher's outputs from a store, found by the hash of the audio and its view; states are not stored."""

    encoder = None

    def __init__(self, store: LogitCache, teacher: str) -> None:
        self.store, self.teacher = store, teacher

    def of(self, teacher_batch: TeacherBatch) -> Posteriors:
        pairs = zip(teacher_batch.utterances, teacher_batch.speeds, strict=True)
        return Posteriors(*self.store.read([output_key(utterance, speed, self.teacher) for utterance, speed in pairs]))


def open_stored(
    ready: Path,
    codec: Codec,
    teacher: PosteriorTeacher,
    data: PreparedData,
    speeds: Sequence[Fraction],
    reporter: Reporter,
) -> StoredOutputs:
    """Outputs for the training part: from `ready` where it has them all, else from a store in scratch, filled first."""
    utterances = data.split("train")
    with suppress(ValueError):
        store = LogitCache(ready)
        if all(key in store for key in output_keys(utterances, speeds, teacher.key)):
            return StoredOutputs(store, teacher.key)
    scratch = TemporaryDirectory(prefix="outputs-") if reporter.scratch is None else nullcontext(reporter.scratch)
    with scratch as folder:  # a mapped file outlives its name
        store = LogitCache.to_fill(Path(folder) / "outputs", codec)
        fill(store, teacher, data, utterances, speeds, reporter)
    return StoredOutputs(store, teacher.key)
