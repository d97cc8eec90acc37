"""What a training loop takes in: features of augmented audio, targets, and the teacher's outputs.

The student sees the augmented view. The teacher sees the clean one, moved in time where the student's
is (speed), so that their frames stay together. Legend: B utterances, N samples, T frames, V units.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kd import augment
from kd.frontend import LogMel
from kd.models import Recogniser
from kd.settings.frontend import AugmentSettings
from kd.settings.itself import ConsistencyCTC
from kd.text import frames_needed
from kd.training import Inputs
from tasks.data import Batch, PreparedData, Utterance
from tasks.features import FeatureCache
from tasks.hypothesis_table import HypothesisTable
from tasks.watch import Watch


@dataclass(frozen=True)
class Share:
    """This process's part of every batch."""

    rank: int = 0
    world_size: int = 1


class TrainingInputs:
    """Batches of one split, epoch by epoch; `teacher` gives logits of the clean view, or is None.

    hypotheses: what a teacher believes was said, for losses that ask for it; speed does not change it.
    two_views: each batch is masked twice, as these settings say; None: once.
    cache: features of the utterances, for settings that leave the waveform as it is.
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
        teacher: "TeacherOutputs | None" = None,
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
        self.needed = torch.tensor([frames_needed(u.units) for u in utterances])

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
            yield self._augmented(batch, generator) if self.cache is None else self._masked(batch, generator)

    def _masked(self, batch: Batch, generator: torch.Generator) -> Inputs:
        """Stored features of unmoved audio; only masks are drawn."""
        assert self.cache is not None
        features, frames_B = self.cache.read(batch.indices)
        views = self._views(features, frames_B, generator)
        teacher = None if self.teacher is None else self.teacher.cached(batch)
        return self._inputs(views, frames_B, batch, teacher)

    def _augmented(self, batch: Batch, generator: torch.Generator) -> Inputs:
        moved, lengths_B = self._moved(batch, generator)
        noisy = augment.add_noise(moved, lengths_B, settings=self.settings, generator=generator)
        features, frames_B = self.frontend(noisy.to(self.device), lengths_B.to(self.device))
        views = self._views(features, frames_B, generator)
        teacher = None
        if self.teacher is not None:
            moves = moves_time(self.settings)
            teacher = self.teacher.live(moved, lengths_B) if moves else self.teacher.cached(batch)
        return self._inputs(views, frames_B, batch, teacher)

    def _views(self, features: Tensor, frames_B: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """One masked view of the same features, or two."""
        first = self._masked_once(features, frames_B, generator)
        return first, self._masked_once(features, frames_B, generator) if self.two_views else None

    def _masked_once(self, features: Tensor, frames_B: Tensor, generator: torch.Generator) -> Tensor:
        filtered = augment.change_filter(features, frames_B, settings=self.masking, generator=generator)
        return augment.spec_augment(filtered, frames_B, settings=self.masking, generator=generator)

    def _inputs(
        self, views: tuple[Tensor, Tensor | None], frames_B: Tensor, batch: Batch, teacher: Tensor | None
    ) -> Inputs:
        first, second = views
        return Inputs(
            first.to(self.device),
            frames_B.to(self.device),
            batch.targets_BL.to(self.device),
            batch.target_lengths_B.to(self.device),
            teacher,
            None if self.hypotheses is None else self.hypotheses.batch(batch.ids).to(self.device),
            None if second is None else second.to(self.device),
        )

    def _moved(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Each utterance at another speed, unless that leaves it fewer frames than CTC needs."""
        moved_BN, lengths_B = augment.change_speed(
            batch.waveform_BN, batch.lengths_B, settings=self.settings, generator=generator
        )
        frames_B = self.output_lengths(self.frontend.output_lengths(lengths_B))
        fits_B = frames_B >= self.needed[list(batch.indices)]
        if fits_B.all():
            return moved_BN, lengths_B
        kept_B = torch.where(fits_B, lengths_B, batch.lengths_B)
        rows = [(moved_BN if fits else batch.waveform_BN)[row, : kept_B[row]] for row, fits in enumerate(fits_B)]
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), kept_B


def moves_time(settings: AugmentSettings) -> bool:
    """Whether augmentation moves frames, so that a teacher's outputs on the clean view do not fit any more."""
    return not set(settings.speeds) <= {1.0}


class TeacherOutputs:
    """A teacher's logits on the clean view: computed once for each utterance, or live for moved audio.

    Kept as float16 in memory: frames times units times two bytes.
    """

    def __init__(self, model: Recogniser, frontend: LogMel, device: torch.device) -> None:
        self.model = model.to(device).eval()
        self.frontend = frontend
        self.device = device
        self.stored: dict[str, Tensor] = {}

    @torch.no_grad()
    def live(self, waveform_BN: Tensor, lengths_B: Tensor) -> Tensor:
        """logits_BTV of a batch of waveforms."""
        features, frames_B = self.frontend(waveform_BN.to(self.device), lengths_B.to(self.device))
        logits: Tensor = self.model(features, frames_B)[0]
        return logits

    def compute(self, data: PreparedData, utterances: Sequence[Utterance], seconds: float, watch: Watch) -> None:
        """Store the outputs for all utterances, in one pass."""
        total = data.num_batches(utterances, seconds)
        for batch in watch.progress(data.batches(utterances, seconds), total, "teacher's outputs"):
            lengths_B = self.model.output_lengths(self.frontend.output_lengths(batch.lengths_B))
            logits = self.live(batch.waveform_BN, batch.lengths_B).half().cpu()
            for row, audio_id in enumerate(batch.ids):
                self.stored[audio_id] = logits[row, : int(lengths_B[row])].clone()

    def cached(self, batch: Batch) -> Tensor:
        """logits_BTV of a batch whose audio is as it was; padding is zero."""
        rows = [self.stored[audio_id].float() for audio_id in batch.ids]
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).to(self.device)
