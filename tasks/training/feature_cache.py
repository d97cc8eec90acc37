"""Features of perturbed copies of a training part, computed once and read in turn, an epoch each. See docs/adr/0003.

Legend: B utterances of a batch, T frames, F mel bins.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from kd.audio.frontend import FrontEnd
from kd.config.frontend import AugmentSettings
from tasks.data.prepared import Batch, Utterance
from tasks.runner.atomic_io import fresh_folder, put_aside

COPIES_KEPT = 2
"""Caches of other data or settings that stay beside the one in use; older ones are deleted."""

Source = Callable[[int], Iterator[tuple[Batch, Sequence[Fraction], Tensor, Tensor]]]
"""Copy i of all utterances, batch by batch: the batch, its utterances' speeds, features_BTF and frames_B."""


def copies_of(settings: AugmentSettings) -> int:
    """How many copies are kept: one where all would be alike, 0 where every epoch draws anew."""
    return 1 if settings.leaves_waveforms else settings.copies


class _Copy(NamedTuple):
    frames_TF: Tensor
    starts: list[int]
    lengths: list[int]
    speeds: list[Fraction]


class FeatureCache:
    """Log-mel features of some utterances in float16 files, read through memory maps.

    Half precision moves a feature by at most 0.004 where its size is below 16; a copy is half as large as the audio.
    """

    def __init__(self, folder: Path, num_mels: int) -> None:
        """Map what `build` wrote; raises ValueError where a file is not as long as its index says."""
        self.copies = [_mapped(index, num_mels) for index in sorted(folder.glob("copy-*.json"))]

    @classmethod
    def build(cls, folder: Path, source: Source, copies: int, num_mels: int) -> Self:
        """Compute and write the copies, unless the folder is there: it is renamed into place when it is whole."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{folder.name}.lock")):
            if why := cls._broken(folder, num_mels, copies):
                put_aside(folder, why)
            if not folder.is_dir():
                with fresh_folder(folder) as part:
                    for copy in range(copies):
                        _write(part / f"copy-{copy:03d}", source(copy), num_mels)
        return cls(folder, num_mels)

    @classmethod
    def _broken(cls, folder: Path, num_mels: int, copies: int) -> str:
        """Why a folder that is there cannot be read; empty where it can, or is not there."""
        try:
            found = len(cls(folder, num_mels).copies) if folder.is_dir() else copies
        except (ValueError, KeyError, TypeError, OSError) as error:
            return str(error) or type(error).__name__
        return "" if found == copies else f"{found} of {copies} copies"

    @classmethod
    def shared(cls, folder: Path, key: str, source: Source, copies: int, num_mels: int) -> Self:
        """A cache below a folder that trainings share, by a key of all that decides it; the oldest others go."""
        found = cls.build(folder / key, source, copies, num_mels)
        (folder / key).touch()
        caches = sorted(filter(Path.is_dir, folder.iterdir()), key=lambda place: place.stat().st_mtime)
        for old in caches[: -1 - COPIES_KEPT]:  # a mapped file outlives its name
            shutil.rmtree(old, ignore_errors=True)
            with suppress(FileNotFoundError):
                old.with_name(f"{old.name}.lock").unlink()
        return found

    def read(self, indices: Sequence[int], epoch: int = 0) -> tuple[Tensor, Tensor, list[Fraction]]:
        """float32 features_BTF, zero beyond their lengths_B, of these utterances in the epoch's copy; their speeds."""
        copy = self.copies[epoch % len(self.copies)]
        lengths = [copy.lengths[i] for i in indices]
        features_BTF = torch.zeros(len(indices), max(lengths), copy.frames_TF.shape[1])
        for row, (i, length) in enumerate(zip(indices, lengths, strict=True)):
            features_BTF[row, :length] = copy.frames_TF[copy.starts[i] :][:length]
        return features_BTF, torch.tensor(lengths), [copy.speeds[i] for i in indices]


def cache_key(
    utterances: Sequence[Utterance], frames_B: Tensor, needed_B: Tensor, settings: AugmentSettings, front_end: FrontEnd
) -> str:
    """A hash of all that decides the features: audio, what may not be sped up, what is drawn from, the front end.

    frames_B: output frames of the model at each utterance's own speed; needed_B: fewest that CTC needs.
    """
    rooms = {"room_share", "rt60_s", "direct_to_echo_db"}
    others = {"speeds", "noise_share", "noise_snr_db", "telephone_share", "copies"}
    drawn = settings.model_dump(mode="json", include=rooms | others)
    facts = [
        [u.audio_hash for u in utterances],
        frames_B.tolist(),
        needed_B.tolist() if set(settings.speeds) - {1.0} else [],
        drawn,
        front_end.settings.model_dump(mode="json"),
    ]
    return blake2b(json.dumps(facts).encode(), digest_size=12).hexdigest()


def _write(file: Path, batches: Iterator[tuple[Batch, Sequence[Fraction], Tensor, Tensor]], num_mels: int) -> None:
    places: dict[int, tuple[int, int, str]] = {}
    written = 0
    with file.with_suffix(".f16").open("wb") as frames:
        for batch, speeds, features_BTF, frames_B in batches:
            halves_BTF = features_BTF.half().cpu().numpy()
            for row, (index, speed) in enumerate(zip(batch.indices, speeds, strict=True)):
                length = int(frames_B[row])
                frames.write(np.ascontiguousarray(halves_BTF[row, :length]).tobytes())
                places[index] = (written, length, str(speed))
                written += length
    text = json.dumps([places[index] for index in sorted(places)])
    file.with_suffix(".json").write_text(text, encoding="utf-8")


def _mapped(index: Path, num_mels: int) -> _Copy:
    starts, lengths, speeds = zip(*json.loads(index.read_text(encoding="utf-8")), strict=True)
    file, expected = index.with_suffix(".f16"), 2 * sum(lengths) * num_mels
    if file.stat().st_size != expected:
        raise ValueError(
            f"{file} has {file.stat().st_size} bytes, but its {len(lengths)} utterances need {expected}. "
            f"It was cut short: delete {file.parent}, and it is made anew"
        )
    frames_TF = torch.from_file(str(file), shared=False, size=sum(lengths) * num_mels, dtype=torch.float16)
    return _Copy(frames_TF.view(-1, num_mels), list(starts), list(lengths), [Fraction(speed) for speed in speeds])
