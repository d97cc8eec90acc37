"""A teacher's pass over utterances: each in every view that a student may have of it, kept under its key.

Legend: T frames, V units; a 1 stands for the one utterance that is computed at a time.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction

import torch
from torch import Tensor

from kd.audio.augment import AS_RECORDED, as_fraction, at_speeds
from kd.config.frontend import AugmentSettings
from tasks.data.prepared import PreparedData, Utterance
from tasks.runner.reporter import Reporter
from tasks.teachers.logit_cache import Key, LogitCache
from tasks.teachers.posterior_teacher import PosteriorTeacher


def views(settings: AugmentSettings) -> tuple[Fraction, ...]:
    """Speeds a batch may have: as recorded first, which an utterance keeps where another leaves it too few frames."""
    return (AS_RECORDED, *sorted(set(map(as_fraction, settings.speeds)) - {AS_RECORDED}))


def output_key(utterance: Utterance, speed: Fraction, teacher: str) -> Key:
    """The cache's key of a teacher's output for an utterance at a speed; teacher: its hash."""
    view = "clean" if speed == AS_RECORDED else f"speed {speed}"
    return Key(utterance.audio_hash, view, teacher)


def output_keys(utterances: Sequence[Utterance], speeds: Sequence[Fraction], teacher: str) -> list[Key]:
    """Keys of all utterances in all views, in the order in which they are computed."""
    return [output_key(utterance, speed, teacher) for speed in speeds for utterance in utterances]


def fill(
    store: LogitCache,
    teacher: PosteriorTeacher,
    data: PreparedData,
    utterances: Sequence[Utterance],
    speeds: Sequence[Fraction],
    reporter: Reporter,
) -> int:
    """Compute what the store lacks of all utterances in all views; gives how many outputs that were.

    One utterance at a time: an output is a function of its key, to the bit, whatever was computed before it.
    """
    missing = {
        key: (utterance, speed)
        for speed in speeds
        for utterance in utterances
        if (key := output_key(utterance, speed, teacher.key)) not in store
    }

    def compute() -> Iterator[tuple[Key, Tensor]]:
        for key, (utterance, speed) in reporter.progress(missing.items(), len(missing), "teacher's logits"):
            waveform_1N = torch.from_numpy(data.waveform(utterance))[None]
            moved_1N, length_1 = at_speeds(waveform_1N, torch.tensor([utterance.num_samples]), [speed])
            log_probs_1TV, frames_1 = teacher.posteriors(moved_1N, length_1)
            yield key, log_probs_1TV[0, : int(frames_1)]

    if missing:
        store.add(compute())
    return len(missing)
