"""Prepared data through a memory map: utterances in, batches of waveforms and targets out.

Legend: B utterances of a batch, N samples, L units of a target.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from kd.text.vocabulary import Vocabulary
from tasks.data.utterance import COLUMNS, Utterance

__all__ = ["Batch", "PreparedData", "Utterance", "plan", "spread_over_lengths"]

FULL_SCALE = 32_768.0
LENGTH_JITTER = 0.1


@dataclass(frozen=True, eq=False)
class Batch:
    """What one process computes at one step. Padding is zero, in waveforms and in targets.

    `indices` count into the utterances that were batched; `read` gives their waveforms.
    """

    ids: tuple[str, ...]
    indices: tuple[int, ...]
    read: Callable[[], Tensor]
    lengths_B: Tensor
    targets_BL: Tensor
    target_lengths_B: Tensor

    @cached_property
    def waveform_BN(self) -> Tensor:
        """Read where somebody asks: who has kept features does not."""
        return self.read()


@dataclass(frozen=True, eq=False)
class PreparedData:
    """A folder of prepared audio, checked; see docs/architecture.md for its files."""

    folder: Path
    sample_rate_hz: int
    vocabulary: Vocabulary
    utterances: tuple[Utterance, ...]
    audio: npt.NDArray[np.int16]

    @classmethod
    def load(cls, folder: Path, *, sample_rate_hz: int | None = None) -> Self:
        """Map the audio and read the table. Raises ValueError where files are missing or do not fit each other.

        sample_rate_hz: the rate that the front end wants; None takes whatever the folder holds.
        """
        for file in ("prepared.json", "utterances.parquet", "audio.i16"):
            if not (folder / file).is_file():
                raise ValueError(f"{folder} holds no prepared data: {file} is missing. Run the stage preprocess first")
        description = json.loads((folder / "prepared.json").read_text(encoding="utf-8"))
        rate = int(description["sample_rate_hz"])
        if sample_rate_hz not in (None, rate):
            raise ValueError(
                f"{folder} holds audio at {rate} Hz, but the front end expects {sample_rate_hz} Hz. "
                "Set frontend.sample_rate_hz to the same rate, or run the stage preprocess again"
            )
        vocabulary = Vocabulary.from_dict(description["vocabulary"])
        utterances = tuple(_read_table(folder / "utterances.parquet", vocabulary))
        _check_size(folder, utterances)
        audio = np.memmap(folder / "audio.i16", dtype="<i2", mode="r")
        return cls(folder, rate, vocabulary, utterances, audio)

    def split(self, name: str) -> tuple[Utterance, ...]:
        """Utterances of train, valid or test, in the table's order. Raises ValueError if there are none."""
        chosen = tuple(u for u in self.utterances if u.split == name)
        if not chosen:
            found = ", ".join(sorted({u.split for u in self.utterances}))
            raise ValueError(
                f"{self.folder} has no utterance of split '{name}'; it has {found}. Add some to the corpus, and run "
                "the stages corpus and preprocess again"
            )
        return chosen

    def waveform(self, utterance: Utterance) -> npt.NDArray[np.float32]:
        """Samples in [-1, 1)."""
        samples = self.audio[utterance.offset : utterance.offset + utterance.num_samples]
        return samples.astype(np.float32) / np.float32(FULL_SCALE)

    def batches(
        self,
        utterances: Sequence[Utterance],
        batch_seconds: float,
        *,
        shuffle: tuple[int, int] | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> Iterator[Batch]:
        """All utterances once, in batches of like length; see `plan`.

        shuffle: (seed, epoch), or None for the longest first. Of several processes, each plans the same global
        batches and takes every world_size-th row of each, from row `rank` on: together they have exactly one
        process's batch, and their shares differ by one row where it cannot be divided evenly.
        """
        if not 0 <= rank < world_size:
            raise ValueError(f"rank {rank} is not one of the {world_size} processes 0 to {world_size - 1}")
        for indices in self._plan(utterances, batch_seconds, shuffle, world_size):
            rows = indices[rank::world_size]
            yield self._collate([utterances[i] for i in rows], rows)

    def num_batches(self, utterances: Sequence[Utterance], batch_seconds: float, *, world_size: int = 1) -> int:
        """How many batches each epoch has: the same for every seed, epoch and rank."""
        return len(self._plan(utterances, batch_seconds, None, world_size))

    def _plan(
        self, utterances: Sequence[Utterance], batch_seconds: float, shuffle: tuple[int, int] | None, at_least: int
    ) -> list[tuple[int, ...]]:
        limit = batch_seconds * self.sample_rate_hz
        return plan([u.num_samples for u in utterances], limit, shuffle=shuffle, at_least=at_least)

    def _collate(self, chosen: Sequence[Utterance], rows: tuple[int, ...]) -> Batch:
        targets_BL = torch.zeros(len(chosen), max(len(u.units) for u in chosen), dtype=torch.int64)
        for row, utterance in enumerate(chosen):
            targets_BL[row, : len(utterance.units)] = torch.tensor(utterance.units, dtype=torch.int64)
        return Batch(
            ids=tuple(u.id for u in chosen),
            indices=rows,
            read=partial(self._waveforms, chosen),
            lengths_B=torch.tensor([u.num_samples for u in chosen]),
            targets_BL=targets_BL,
            target_lengths_B=torch.tensor([len(u.units) for u in chosen]),
        )

    def _waveforms(self, chosen: Sequence[Utterance]) -> Tensor:
        waveform_BN = torch.zeros(len(chosen), max(u.num_samples for u in chosen))
        for row, utterance in enumerate(chosen):
            waveform_BN[row, : utterance.num_samples] = torch.from_numpy(self.waveform(utterance))
        return waveform_BN


def plan(
    num_samples: Sequence[int], limit: float, *, shuffle: tuple[int, int] | None = None, at_least: int = 1
) -> list[tuple[int, ...]]:
    """Indices of each batch: all of them once, sorted by length, cut into even parts of about `limit` samples.

    A batch may have one utterance's length more than `limit`, before padding. How many utterances each batch has
    depends on the lengths alone, so every epoch has equally many batches. With shuffle (seed, epoch), lengths
    are jittered by up to a tenth before sorting, so that an utterance meets other neighbours in each epoch, and
    the order of the batches is drawn. Raises ValueError if there are fewer than `at_least` utterances.
    """
    lengths = np.asarray(num_samples, dtype=np.float64)
    if len(lengths) < at_least:
        raise ValueError(
            f"{len(lengths)} utterances cannot be shared among {at_least} processes. Use fewer processes or more data"
        )
    rng = np.random.default_rng(shuffle) if shuffle else None
    jitter = rng.uniform(1 - LENGTH_JITTER, 1 + LENGTH_JITTER, len(lengths)) if rng else 1.0
    order = np.argsort(-lengths * jitter, kind="stable").tolist()
    ends = [0, *accumulate(_sizes(np.sort(lengths)[::-1], limit, at_least))]
    batches = [tuple(order[start:end]) for start, end in pairwise(ends)]
    if rng:
        rng.shuffle(batches)
    return batches


def spread_over_lengths(utterances: Sequence[Utterance], count: int) -> list[Utterance]:
    """At most `count` utterances, evenly spread from the shortest to the longest."""
    ordered = sorted(utterances, key=lambda u: (u.num_samples, u.id))
    chosen = np.linspace(0, len(ordered) - 1, min(count, len(ordered))).round().astype(int)
    return [ordered[i] for i in chosen]


def _sizes(descending: npt.NDArray[np.float64], limit: float, at_least: int) -> list[int]:
    """Utterances of each batch: that part of the audio in which an utterance's middle lies is its batch."""
    total = descending.sum()
    parts = max(1, math.ceil(total / limit))
    middles = descending.cumsum() - descending / 2
    sizes: list[int] = [0]
    for size in np.bincount((middles * parts / total).astype(np.int64)).tolist():
        if sizes[-1] < at_least:
            sizes[-1] += size
        else:
            sizes.append(size)
    if sizes[-1] < at_least:
        sizes[-2:] = [sum(sizes[-2:])]
    return sizes


def _read_table(file: Path, vocabulary: Vocabulary) -> Iterator[Utterance]:
    table = pd.read_parquet(file)
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        raise ValueError(f"{file} has no column {', '.join(missing)}. Run the stage preprocess again")
    if table.empty:
        raise ValueError(f"{file} holds no utterance. See quarantine.csv beside it for why each was left out")
    for row in table[list(COLUMNS)].to_dict("records"):
        values: dict[str, Any] = {str(k): None if pd.isna(v) else v for k, v in row.items()}
        try:
            units = tuple(vocabulary.encode(values["text"])) if values["text"] else ()
        except ValueError as error:
            if values["split"] == "test":
                yield Utterance(**values, units=())
                continue
            raise ValueError(f"{file}: utterance {values['id']}: {error}. Run the stage preprocess again") from None
        yield Utterance(**{**values, "text": values["text"] or ""}, units=units)


def _check_size(folder: Path, utterances: Sequence[Utterance]) -> None:
    found = (folder / "audio.i16").stat().st_size
    expected = 2 * sum(u.num_samples for u in utterances)
    if found != expected:
        raise ValueError(
            f"{folder}/audio.i16 has {found} bytes, but its table of {len(utterances)} utterances needs {expected}. "
            "It was cut short or belongs to another table; run the stage preprocess again"
        )
    outside = next((u for u in utterances if u.offset < 0 or u.num_samples < 1 or _end_byte(u) > found), None)
    if outside:
        raise ValueError(
            f"{folder}: utterance {outside.id} should be {outside.num_samples} samples from sample {outside.offset} "
            f"on, which is not within the {found // 2} samples of audio.i16. Run the stage preprocess again"
        )


def _end_byte(utterance: Utterance) -> int:
    return 2 * (utterance.offset + utterance.num_samples)
