"""Features computed once and read in every epoch, where nothing is done to the waveform. See docs/adr/0003.

Legend: B utterances of a batch, T frames, F mel bins.
"""

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kd.frontend import LogMel
from kd.settings.frontend import AugmentSettings
from tasks.data import PreparedData, Utterance


def cacheable(settings: AugmentSettings) -> bool:
    """Whether every epoch has the same features before masking: no speed and no noise is drawn."""
    return set(settings.speeds) <= {1.0} and settings.noise_share == 0


class FeatureCache:
    """Log-mel features of some utterances, one after another in a float16 file, read through a memory map.

    Half precision moves a feature by at most 0.004 where its size is below 16, and the file is half as large as
    the audio.
    """

    def __init__(self, file: Path, lengths: Sequence[int], num_mels: int) -> None:
        """Map a file that is there; raises ValueError where its size is another than these lengths (in frames) need."""
        expected, found = 2 * sum(lengths) * num_mels, file.stat().st_size
        if found != expected:
            raise ValueError(
                f"{file} has {found} bytes, but {len(lengths)} utterances need {expected}. "
                "It belongs to other utterances: delete it, and it is made anew"
            )
        self.lengths = list(lengths)
        self.starts = [0, *accumulate(lengths)]
        self.frames_TF = np.memmap(file, dtype=np.float16, mode="r").reshape(-1, num_mels)

    @classmethod
    def build(
        cls,
        file: Path,
        data: PreparedData,
        utterances: Sequence[Utterance],
        front_end: LogMel,
        *,
        batch_seconds: float = 60.0,
    ) -> Self:
        """Compute and write the features, unless the file is there: it is renamed into place when it is whole."""
        num_mels = front_end.settings.num_mels
        num_samples_B = torch.tensor([u.num_samples for u in utterances])
        lengths: list[int] = front_end.output_lengths(num_samples_B).tolist()
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            part = file.with_name(file.name + ".part")
            _write(part, data, utterances, front_end, [0, *accumulate(lengths)], batch_seconds)
            part.replace(file)
        return cls(file, lengths, num_mels)

    def read(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """float32 features_BTF, zero beyond their lengths_B, of these utterances of the sequence that was built."""
        lengths = [self.lengths[i] for i in indices]
        features_BTF = torch.zeros(len(indices), max(lengths), self.frames_TF.shape[1])
        for row, i in enumerate(indices):
            stored_TF: npt.NDArray[np.float32] = self.frames_TF[self.starts[i] : self.starts[i + 1]].astype(np.float32)
            features_BTF[row, : lengths[row]] = torch.from_numpy(stored_TF)
        return features_BTF, torch.tensor(lengths)


def _write(
    file: Path,
    data: PreparedData,
    utterances: Sequence[Utterance],
    front_end: LogMel,
    starts: Sequence[int],
    batch_seconds: float,
) -> None:
    num_mels = front_end.settings.num_mels
    frames_TF = np.memmap(file, dtype=np.float16, mode="w+", shape=(starts[-1], num_mels))
    device = front_end.mel_RF.device
    for batch in data.batches(utterances, batch_seconds):
        moved = batch.to(device)
        features_BTF, lengths_B = front_end(moved.waveform_BN, moved.lengths_B)
        halves_BTF = features_BTF.half().cpu().numpy()
        for row, (index, length) in enumerate(zip(batch.indices, lengths_B.tolist(), strict=True)):
            frames_TF[starts[index] : starts[index + 1]] = halves_BTF[row, :length]
    frames_TF.flush()
