"""What a training loop takes in: features of augmented audio, targets, and the teacher's outputs.

The student gets the augmented view, the teacher the clean one, moved in time (speed) where the student's is.
Legend: B utterances, N samples, T frames, V units.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple, Protocol, Self

import torch
from torch import Tensor

from kd.audio import augment
from kd.audio.frontend import LogMel
from kd.config.frontend import AugmentSettings
from kd.config.models import EncoderSettings
from kd.config.self_distillation import ConsistencyCTC
from kd.text.vocabulary import frames_needed
from kd.training import Inputs
from kd.training.states import States
from tasks.data.prepared import Batch, PreparedData, Utterance
from tasks.training.feature_cache import FeatureCache, cache_key
from tasks.training.hypothesis_table import HypothesisTable

COPY_SECONDS = 60.0
"""Audio of a batch in which features of a copy are computed: part of what is drawn, so the same for every training."""


@dataclass(frozen=True)
class Share:
    """This process's part of every batch."""

    rank: int = 0
    world_size: int = 1


@dataclass(frozen=True, eq=False)
class TeacherBatch:
    """A batch as a teacher gets it: at the student's speeds, so that frames stay together, but without its noise."""

    batch: Batch
    utterances: Sequence[Utterance]
    speeds: Sequence[Fraction]

    @classmethod
    def of(cls, batch: Batch, utterances: Sequence[Utterance], speeds: Sequence[Fraction] | None = None) -> Self:
        """A batch of these utterances, at these speeds or as recorded."""
        chosen = [utterances[index] for index in batch.indices]
        return cls(batch, chosen, (augment.AS_RECORDED,) * len(chosen) if speeds is None else speeds)

    @cached_property
    def audio(self) -> tuple[Tensor, Tensor]:
        """waveform_BN and lengths_B in samples, at the batch's speeds; made where somebody asks for it."""
        return augment.at_speeds(self.batch.waveform_BN, self.batch.lengths_B, self.speeds)


class TeacherTargets(NamedTuple):
    """A teacher's posteriors of a batch: lengths_B are frames; states: its inner ones, None where it shows none."""

    log_probs_BTV: Tensor
    lengths_B: Tensor
    states: States | None = None


class TeacherOutputs(Protocol):
    """Where a teacher's outputs come from; see tasks.teachers.logits and tasks.teachers.teacher_states.

    encoder: that whose states come with them; None where none come.
    """

    @property
    def encoder(self) -> EncoderSettings | None: ...

    def of(self, teacher_batch: TeacherBatch) -> TeacherTargets: ...


class TrainingInputs:
    """Batches of one split, epoch by epoch; `teacher` gives a teacher's posteriors of them, or is None.

    hypotheses: what a teacher believes was said, for losses that ask for it; speed does not change it.
    two_views: each batch is masked twice, as these settings say; None: once.
    cache: features of perturbed copies of the utterances, of which an epoch reads one; None: computed in every epoch.
    """

    def __init__(
        self,
        data: PreparedData,
        utterances: Sequence[Utterance],
        frontend: LogMel,
        settings: AugmentSettings,
        *,
        batch_seconds: float,
        seed: int,
        device: torch.device,
        teacher: TeacherOutputs | None = None,
        hypotheses: HypothesisTable | None = None,
        two_views: ConsistencyCTC | None = None,
        cache: FeatureCache | None = None,
        share: Share = Share(),
        output_lengths: Callable[[Tensor], Tensor],
    ) -> None:
        self.data, self.utterances, self.frontend, self.settings = data, utterances, frontend, settings
        self.batch_seconds, self.seed, self.device, self.share = batch_seconds, seed, device, share
        self.teacher, self.hypotheses, self.cache = teacher, hypotheses, cache
        self.output_lengths, self.two_views = output_lengths, two_views is not None
        self.masking = settings if two_views is None else settings.with_time_masking(two_views.time_masking)
        self.needed = torch.tensor([_frames_needed(u, hypotheses) for u in utterances])

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
        scaled = augment.change_level(features, frames_B, settings=self.masking, generator=generator)
        filtered = augment.change_filter(scaled, frames_B, settings=self.masking, generator=generator)
        return augment.spec_augment(filtered, frames_B, settings=self.masking, generator=generator)

    def _inputs(
        self, views: tuple[Tensor, Tensor | None], frames_B: Tensor, batch: Batch, teacher_batch: TeacherBatch
    ) -> Inputs:
        first, second = views
        taught = None if self.teacher is None else self.teacher.of(teacher_batch)
        return Inputs(
            first.to(self.device),
            frames_B.to(self.device),
            batch.targets_BL.to(self.device),
            batch.target_lengths_B.to(self.device),
            None if taught is None else taught.log_probs_BTV.to(self.device),
            None if self.hypotheses is None else self.hypotheses.batch(batch.ids).to(self.device),
            None if second is None else second.to(self.device),
            None if taught is None else taught.lengths_B.to(self.device),
            None if taught is None or taught.states is None else taught.states.to(self.device),
        )

    def _moved(self, batch: Batch, generator: torch.Generator) -> TeacherBatch:
        """Each utterance at a drawn speed, unless that leaves it fewer frames than CTC needs."""
        drawn = augment.draw_speeds(batch.lengths_B, settings=self.settings, generator=generator)
        frames_B = self.output_lengths(self.frontend.output_lengths(augment.lengths_at(batch.lengths_B, drawn)))
        fits_B = frames_B >= self.needed[list(batch.indices)]
        speeds = [speed if fits else augment.AS_RECORDED for speed, fits in zip(drawn, fits_B.tolist(), strict=True)]
        return TeacherBatch.of(batch, self.utterances, speeds)


def _frames_needed(utterance: Utterance, hypotheses: HypothesisTable | None) -> int:
    """Fewest frames for the label and for every hypothesis."""
    rows = () if hypotheses is None else hypotheses.rows.get(utterance.id, ())
    return max(map(frames_needed, (utterance.units, *(units for units, _ in rows))))
