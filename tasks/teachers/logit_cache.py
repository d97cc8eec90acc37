"""Teachers' outputs in a folder: one flat file of frames and an index of where each utterance lies in it.

An output is found by what it is an output of, never by a place in a batch or a corpus. Legend: B utterances of
a batch, T frames, V units.
"""

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from kd.teachers.codec import Codec, Records
from tasks.runner.atomic_io import write_whole

FRAMES_FILE, INDEX_FILE, FORM_FILE = "frames.bin", "index.csv", "store.json"
HEADER = "audio,view,teacher,start,frames\n"


class Key(NamedTuple):
    """audio: hash of the samples; view: what was done to their time; teacher: hash of whom they were given to."""

    audio: str
    view: str
    teacher: str


class LogitCache:
    """A folder to which outputs are added at the end, and from which they are read through a memory map.

    Frames are written before the line of the index that names them: whatever a kill leaves unfinished is cut
    off when the folder is opened for adding.
    """

    def __init__(self, folder: Path) -> None:
        """Open a store. Raises ValueError where there is none, or where it was cut short."""
        if not (folder / FORM_FILE).is_file():
            raise ValueError(f"{folder} holds no teacher's outputs: {FORM_FILE} is missing. Run the stage cache_logits")
        self.folder = folder
        self.codec = Codec(**json.loads((folder / FORM_FILE).read_text(encoding="utf-8")))
        self.places: dict[Key, tuple[int, int]] = {}
        self.num_frames = 0
        self._index_bytes = self._read_index()
        held = (folder / FRAMES_FILE).stat().st_size // self.codec.bytes_per_frame
        if self.num_frames > held:
            raise ValueError(
                f"{folder}/{FRAMES_FILE} holds {held} frames, but {INDEX_FILE} names {self.num_frames}. "
                "It was cut short: delete the folder, and it is made anew"
            )
        self._records = self._map()

    @classmethod
    def to_fill(cls, folder: Path, codec: Codec) -> Self:
        """Open a store for adding; one that is missing, broken or in another form is begun anew."""
        with suppress(ValueError):
            store = cls(folder)
            if store.codec == codec:
                os.truncate(folder / FRAMES_FILE, store.num_bytes)
                os.truncate(folder / INDEX_FILE, store._index_bytes)
                return store
        return cls.begin(folder, codec)

    @classmethod
    def begin(cls, folder: Path, codec: Codec) -> Self:
        """An empty store, whatever the folder held."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / FRAMES_FILE).touch()
        write_whole(folder / INDEX_FILE, HEADER)
        write_whole(folder / FORM_FILE, json.dumps(asdict(codec)) + "\n")
        return cls(folder)

    def __contains__(self, key: Key) -> bool:
        return key in self.places

    def __len__(self) -> int:
        return len(self.places)

    @property
    def num_bytes(self) -> int:
        """Of the frames; the index comes on top."""
        return self.num_frames * self.codec.bytes_per_frame

    def add(self, outputs: Iterable[tuple[Key, Tensor]]) -> None:
        """Store logits_TV or log_probs_TV under keys that are not there yet, each as soon as it comes."""
        self._append((key, self.codec.pack(logits_TV)) for key, logits_TV in outputs)

    def read(self, keys: Sequence[Key]) -> tuple[Tensor, Tensor]:
        """log_probs_BTV (finite beyond their lengths) and lengths_B in frames. Raises ValueError for a missing key."""
        if missing := [key for key in keys if key not in self.places]:
            raise ValueError(
                f"{self.folder} lacks the outputs of {len(missing)} of {len(keys)} utterances, first {missing[0]}. "
                "Run the stage cache_logits again: it adds what is missing"
            )
        lengths = [self.places[key][1] for key in keys]
        records_BT = np.zeros((len(keys), max(lengths)), self.codec.dtype)
        for row, key in enumerate(keys):
            records_BT[row, : lengths[row]] = self._stored(key)
        return self.codec.unpack(records_BT), torch.tensor(lengths)

    def copy(self, keys: Iterable[Key], folder: Path) -> Self:
        """A new store with these outputs in this order, whatever the folder held."""
        other = self.begin(folder, self.codec)
        other._append((key, self._stored(key)) for key in dict.fromkeys(keys))
        return other

    def _map(self) -> Records:
        if not self.num_frames:  # an empty file cannot be mapped
            return np.empty(0, self.codec.dtype)
        return np.memmap(self.folder / FRAMES_FILE, self.codec.dtype, mode="r", shape=(self.num_frames,))

    def _stored(self, key: Key) -> Records:
        start, frames = self.places[key]
        return self._records[start : start + frames]

    def _append(self, outputs: Iterable[tuple[Key, Records]]) -> None:
        with (self.folder / FRAMES_FILE).open("ab") as frames, (self.folder / INDEX_FILE).open("ab") as index:
            for key, records_T in outputs:
                frames.write(records_T.tobytes())
                frames.flush()
                index.write(f"{','.join(key)},{self.num_frames},{len(records_T)}\n".encode())
                index.flush()
                self.places[key] = (self.num_frames, len(records_T))
                self.num_frames += len(records_T)
        self._records = self._map()

    def _read_index(self) -> int:
        """Take up all whole lines; gives how many bytes of the file they are."""
        num_bytes = 0
        for line in (self.folder / INDEX_FILE).read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break
            num_bytes += len(line)
            *key, start, frames = line.decode().rstrip().split(",")
            if start == "start":
                continue
            self.places[Key(*key)] = (int(start), int(frames))
            self.num_frames += int(frames)
        return num_bytes
