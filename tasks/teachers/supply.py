"""What a teacher supplies to a student: nothing, cached logits, live states, or pseudo-labels. Decided here alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from accelerate import Accelerator
from torch import Tensor

from kd.audio.frontend import make_front_end
from kd.config.losses import ObjectiveSettings
from kd.config.models import EncoderSettings
from kd.teachers.codec import Codec
from kd.training import Objective
from tasks.checkpoint import Checkpoint
from tasks.data.prepared import Batch, PreparedData, Utterance
from tasks.params.pipeline import Params
from tasks.params.trainings import training_of
from tasks.runner.paths import Paths
from tasks.runner.reporter import Reporter
from tasks.teachers.filtered_labels import Labels, choose_labels, write_labels
from tasks.teachers.logits import open_stored
from tasks.teachers.posterior_teacher import PosteriorTeacher, load_posterior_teacher
from tasks.teachers.pseudo_label_table import has_pseudo_labels, read_pseudo_labels
from tasks.teachers.teacher_pass import views
from tasks.teachers.teacher_states import LiveStates
from tasks.training.batch_teacher import NO_TEACHER, BatchTeacher, PosteriorSource, TeacherBatch
from tasks.training.hypothesis_table import HypothesisTable, search


class TeacherSupply(Protocol):
    """What the stage distil asks; `open` is what the training gets."""

    def teaches(self, utterance: Utterance) -> bool:
        """Whether anything is learnt from the teacher about this utterance."""

    def open(self, accelerator: Accelerator) -> BatchTeacher:
        """The teacher, ready to be asked on this device; the first process computes what is missing."""

    def metrics(self) -> dict[str, float]:
        """What is worth knowing of the supply before it is used."""

    def write(self, folder: Path) -> None:
        """What is kept of it beside the student."""


def teacher_supply(
    params: Params,
    paths: Paths,
    name: str,
    data: PreparedData,
    utterances: Sequence[Utterance],
    student: Checkpoint,
    reporter: Reporter,
) -> TeacherSupply:
    """What students.NAME gets of its teacher about these utterances.

    student: before it is trained; its frames and layers are to meet the teacher's. Raises ValueError where the teacher
    gives text and was asked about none of them.
    """
    source, objective = params.students[name].teacher, params.students[name].objective
    if source == "none":
        return NoTeacher()
    if has_pseudo_labels(paths.model(source)):
        return PseudoLabelSupply(_filtered(params, paths, name, data, utterances, student))
    origin: CachedLogits | LiveTeacher
    teacher = load_posterior_teacher(paths, source)
    if objective.reads_states:
        origin = LiveTeacher(teacher, objective, student.model.settings.encoder)
    else:
        codec, speeds = Codec.of(len(data.vocabulary), params.logit_cache.top_k), views(params.student_augment)
        origin = CachedLogits(teacher, data, paths.outputs(source), codec, speeds, reporter)
    return PosteriorSupply(
        origin=origin,
        objective=Objective(objective, student.model.settings.problem),
        data=data,
        utterances=utterances,
        batch_seconds=training_of(params, name).batch_seconds,
        reporter=reporter,
    )


class NoTeacher:
    """Labels alone."""

    def teaches(self, utterance: Utterance) -> bool:
        return False

    def open(self, accelerator: Accelerator) -> BatchTeacher:
        return NO_TEACHER

    def metrics(self) -> dict[str, float]:
        return {}

    def write(self, folder: Path) -> None:
        """Nothing."""


@dataclass(frozen=True)
class PseudoLabelSupply:
    """Transcripts of a teacher that gives text, filtered: labels.parquet says which were kept."""

    labels: Labels

    def teaches(self, utterance: Utterance) -> bool:
        return utterance.id in self.labels.rows

    def open(self, accelerator: Accelerator) -> BatchTeacher:
        return BatchTeacher(hypotheses=HypothesisTable(self.labels.rows))

    def metrics(self) -> dict[str, float]:
        return self.labels.metrics()

    def write(self, folder: Path) -> None:
        write_labels(folder, self.labels)


@dataclass(frozen=True)
class CachedLogits:
    """Logits from `ready`, or where it lacks some, from a cache in scratch that is filled first (docs/adr/0006).

    speeds: those that the student's augmentation may draw.
    """

    teacher: PosteriorTeacher
    data: PreparedData
    ready: Path
    codec: Codec
    speeds: Sequence[Fraction]
    reporter: Reporter

    def open(self, accelerator: Accelerator) -> PosteriorSource:
        with accelerator.main_process_first():
            teacher = self.teacher.to(accelerator.device)
            return open_stored(self.ready, self.codec, teacher, self.data, self.speeds, self.reporter)


@dataclass(frozen=True)
class LiveTeacher:
    """A teacher that runs on every batch, for losses that compare inner states: no cache has them (docs/adr/0012)."""

    teacher: PosteriorTeacher
    objective: ObjectiveSettings
    student: EncoderSettings

    def open(self, accelerator: Accelerator) -> PosteriorSource:
        return LiveStates(self.teacher.to(accelerator.device), self.objective, self.student)


@dataclass(frozen=True, kw_only=True)
class PosteriorSupply:
    """A teacher that gives posteriors: it supplies them, hypotheses searched in them by CTC, or both."""

    origin: CachedLogits | LiveTeacher
    objective: Objective
    data: PreparedData
    utterances: Sequence[Utterance]
    batch_seconds: float
    reporter: Reporter

    def teaches(self, utterance: Utterance) -> bool:
        return True

    def open(self, accelerator: Accelerator) -> BatchTeacher:
        source, asked = self.origin.open(accelerator), self.objective.hypotheses
        if asked is None:
            return BatchTeacher(source)

        def posteriors(batch: Batch) -> tuple[Tensor, Tensor]:
            found = source.of(TeacherBatch.of(batch, self.utterances))
            return found.log_probs_BTV, found.lengths_B

        table = search(posteriors, self.data, self.utterances, asked, self.batch_seconds, self.reporter)
        return BatchTeacher(source if self.objective.needs - {"hypotheses"} else None, table)

    def metrics(self) -> dict[str, float]:
        return {}

    def write(self, folder: Path) -> None:
        """Nothing: logits are kept as the teacher's, for all who learn from it."""


def _filtered(
    params: Params, paths: Paths, name: str, data: PreparedData, utterances: Sequence[Utterance], student: Checkpoint
) -> Labels:
    recipe, frontend = params.students[name], make_front_end(student.frontend)

    def frames(num_samples_B: Tensor) -> Tensor:
        return student.model.output_lengths(frontend.output_lengths(num_samples_B))

    return choose_labels(data, utterances, read_pseudo_labels(paths.model(recipe.teacher)), recipe.filter, frames)
