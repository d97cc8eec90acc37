"""What a teacher says of a batch: read from a store, or computed as the batch comes."""

from collections.abc import Sequence
from contextlib import nullcontext, suppress
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

from kd.posteriors import Codec
from tasks.data import PreparedData
from tasks.inputs import Heard, Taught
from tasks.teaching.frame_teacher import FrameTeacher
from tasks.teaching.output_store import OutputStore
from tasks.teaching.teacher_pass import fill, output_key, output_keys
from tasks.watch import Watch


class StoredOutputs:
    """A teacher's outputs from a store, found by the hash of the audio and its view; states are not stored."""

    encoder = None

    def __init__(self, store: OutputStore, teacher: str) -> None:
        self.store, self.teacher = store, teacher

    def of(self, heard: Heard) -> Taught:
        pairs = zip(heard.utterances, heard.speeds, strict=True)
        return Taught(*self.store.read([output_key(utterance, speed, self.teacher) for utterance, speed in pairs]))


class LiveOutputs:
    """A teacher that runs on every batch anew."""

    encoder = None

    def __init__(self, teacher: FrameTeacher) -> None:
        self.teacher = teacher

    def of(self, heard: Heard) -> Taught:
        return Taught(*self.teacher.posteriors(*heard.audio))


def open_stored(
    ready: Path,
    codec: Codec,
    teacher: FrameTeacher,
    data: PreparedData,
    speeds: Sequence[Fraction],
    watch: Watch,
) -> StoredOutputs:
    """Outputs for the training part: from `ready` where it has them all, else from a store in scratch, filled first."""
    utterances = data.split("train")
    with suppress(ValueError):
        store = OutputStore(ready)
        if all(key in store for key in output_keys(utterances, speeds, teacher.key)):
            return StoredOutputs(store, teacher.key)
    scratch = TemporaryDirectory(prefix="outputs-") if watch.scratch is None else nullcontext(watch.scratch)
    with scratch as folder:  # a mapped file outlives its name
        store = OutputStore.to_fill(Path(folder) / "outputs", codec)
        fill(store, teacher, data, utterances, speeds, watch)
    return StoredOutputs(store, teacher.key)
