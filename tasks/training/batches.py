"""What a training loop takes in: features of augmented audio, targets, and what a teacher gives.

The student gets the augmented view, the teacher the clean one, moved in time (speed) where the student's is.
Legend: B utterances, N samples, T frames, V units.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from kd.audio import augment
from kd.audio.frontend import FrontEnd
from kd.config.frontend import AugmentSettings
from kd.config.self_distillation import ConsistencyCTC
from kd.teachers.hypotheses import Row
from kd.text.vocabulary import frames_needed
from kd.training import Inputs
from tasks.data.prepared import Batch, PreparedData, Utterance
from tasks.training.batch_teacher import NO_TEACHER, BatchTeacher, TeacherBatch
from tasks.training.feature_cache import FeatureCache, cache_key

COPY_SECONDS = 60.0
"""Audio of a batch in which features of a copy are computed: part of what is drawn, so the same for every training."""


@dataclass(frozen=True)
class Share:
    """This process's part of every batch."""

    rank: int = 0
    world_size: int = 1


class TrainingInputs:
    """Batches of one split, epoch by epoch; `teacher` says what a teacher gives of each.

    two_views: each batch is masked twice, as these settings say; None: once.
    cache: features of perturbed copies of the utterances, of which an epoch reads one; None: computed in every epoch.
    """

    def __init__(
        self,
        data: PreparedData,
        utterances: Sequence[Utterance],
        frontend: FrontEnd,
        settings: AugmentSettings,
        *,
        batch_seconds: float,
        seed: int,
        device: torch.device,
        teacher: BatchTeacher = NO_TEACHER,
        two_views: ConsistencyCTC | None = None,
        cache: FeatureCache | None = None,
        share: Share = Share(),
        output_lengths: Callable[[Tensor], Tensor],
    ) -> None:
        self.data, self.utterances, self.frontend, self.settings = data, utterances, frontend, settings
        self.batch_seconds, self.seed, self.device, self.share = batch_seconds, seed, device, share
        self.teacher, self.cache = teacher, cache
        self.output_lengths, self.two_views = output_lengths, two_views is not None
        self.masking = settings if two_views is None else settings.with_time_masking(two_views.time_masking)
        self.needed = torch.tensor([_frames_needed(u, teacher.believes(u)) for u in utterances])

    @property
    def per_epoch(self) -> int:
        return self.data.num_batches(self.utterances, self.batch_seconds, world_size=self.share.world_size)

    def epoch(self, index: int) -> Iterator[Inputs]:
        """Augmented batches; the same (seed, index, rank) gives the same ones."""
        generator = torch.Generator().manual_seed((self.seed * 100_003 + index) * 1_009 + self.share.rank)
        batches = self.data.batches(
            self.utterances,
            self.batch_seconds,
            shuffle=(self.seed, index),
            rank=self.share.rank,
            world_size=self.share.world_size,
        )
        for batch in batches:
            if self.cache is None:
                teacher_batch, features, frames_B = self._perturbed(batch, generator)
            else:
                features, frames_B, speeds = self.cache.read(batch.indices, index)
                teacher_batch = TeacherBatch.of(batch, self.utterances, speeds)
            yield self._inputs(self._views(features, frames_B, generator), frames_B, batch, teacher_batch)

    @property
    def key(self) -> str:
        """Of what `copy` gives: equal where the features are."""
        samples_B = torch.tensor([u.num_samples for u in self.utterances])
        frames_B = self.output_lengths(self.frontend.output_lengths(samples_B))
        return cache_key(self.utterances, frames_B, self.needed, self.settings, self.frontend)

    @property
    def batches_of_a_copy(self) -> int:
        return self.data.num_batches(self.utterances, COPY_SECONDS)

    def copy(self, index: int) -> Iterator[tuple[Batch, Sequence[Fraction], Tensor, Tensor]]:
        """All batches of a perturbed copy of the utterances: batch, speeds, features_BTF and frames_B."""
        generator = torch.Generator().manual_seed(index)
        for batch in self.data.batches(self.utterances, COPY_SECONDS):
            teacher_batch, features, frames_B = self._perturbed(batch, generator)
            yield batch, teacher_batch.speeds, features, frames_B

    def _perturbed(self, batch: Batch, generator: torch.Generator) -> tuple[TeacherBatch, Tensor, Tensor]:
        teacher_batch = self._moved(batch, generator)
        waveform_BN, lengths_B = teacher_batch.audio
        rate_hz = self.data.sample_rate_hz
        changed_BN = augment.perturb(waveform_BN, lengths_B, rate_hz, settings=self.settings, generator=generator)
        return teacher_batch, *self.frontend(changed_BN.to(self.device), lengths_B.to(self.device))

    def _views(self, features: Tensor, frames_B: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """One masked view of the same features, or two."""
        first = self._masked_once(features, frames_B, generator)
        return first, self._masked_once(features, frames_B, generator) if self.two_views else None

    def _masked_once(self, features: Tensor, frames_B: Tensor, generator: torch.Generator) -> Tensor:
        masking, kind = self.masking, self.frontend.settings
        scaled = augment.change_level(features, frames_B, settings=masking, generator=generator, frontend=kind)
        filtered = augment.change_filter(scaled, frames_B, settings=masking, generator=generator, frontend=kind)
        return augment.spec_augment(filtered, frames_B, settings=self.masking, generator=generator)

    def _inputs(
        self, views: tuple[Tensor, Tensor | None], frames_B: Tensor, batch: Batch, teacher_batch: TeacherBatch
    ) -> Inputs:
        first, second = views
        given = self.teacher.of(teacher_batch).to(self.device)
        return Inputs(
            features_BTF=first.to(self.device),
            lengths_B=frames_B.to(self.device),
            targets_BL=batch.targets_BL.to(self.device),
            target_lengths_B=batch.target_lengths_B.to(self.device),
            second_BTF=None if second is None else second.to(self.device),
            teacher_BTV=given.log_probs_BTV,
            teacher_lengths_B=given.lengths_B,
            hypotheses=given.hypotheses,
            states=given.states,
        )

    def _moved(self, batch: Batch, generator: torch.Generator) -> TeacherBatch:
        """Each utterance at a drawn speed, unless that leaves it fewer frames than CTC needs."""
        drawn = augment.draw_speeds(batch.lengths_B, settings=self.settings, generator=generator)
        frames_B = self.output_lengths(self.frontend.output_lengths(augment.lengths_at(batch.lengths_B, drawn)))
        fits_B = frames_B >= self.needed[list(batch.indices)]
        speeds = [speed if fits else augment.AS_RECORDED for speed, fits in zip(drawn, fits_B.tolist(), strict=True)]
        return TeacherBatch.of(batch, self.utterances, speeds)


def _frames_needed(utterance: Utterance, hypotheses: Row) -> int:
    """Fewest frames for the label and for every hypothesis."""
    return max(map(frames_needed, (utterance.units, *(units for units, _ in hypotheses))))
