"""Free Spoken Digit Dataset (Jackson et al., CC BY-SA 4.0): single digits, or real recordings joined to strings."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tasks.data.corpora.fetch import fetch_zip
from tasks.data.corpora.phrases import DIGITS
from tasks.data.corpora.raw import SPLITS, Part, Place, RawUtterance, Split
from tasks.params.corpora import ConnectedDigits, FsddCorpus

URL = "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/heads/master.zip"
_NAME = re.compile(r"(?P<digit>\d)_(?P<speaker>\w+)_(?P<index>\d+)\.wav")
_FOLDERS = ("recordings", "wav", "free-spoken-digit-dataset-*/recordings", ".")


@dataclass(frozen=True)
class _Recording:
    path: str
    digit: int
    speaker: str
    index: int
    split: Split


def fsdd_rows(corpus: FsddCorpus, place: Place) -> Iterator[RawUtterance]:
    """Rows of single digits, or of strings of one speaker's digits with pauses.

    Splits: with `test_speaker` that speaker is the test and `valid_speaker` the validation part. Without,
    the official test part, indices 0 to 4, and for validation the next five, 5 to 9: all splits then share
    their speakers. A string never joins recordings of two splits.
    """
    root = place.project / corpus.root
    recordings = _find(root)
    if not recordings and corpus.download:
        fetch_zip(URL, root, "the Free Spoken Digit Dataset")
        recordings = _find(root)
    if not recordings:
        raise ValueError(
            f"{root} holds no recording named like 7_jackson_32.wav (looked in {', '.join(_FOLDERS)}). "
            f"Set corpus.download: true, or unpack {URL} there"
        )
    recordings = _split(recordings, corpus)
    rows = _connected(recordings, corpus.connected) if corpus.connected else _single(recordings)
    for row in place.reporter.progress(rows, label="fsdd"):
        yield replace(row, root=corpus.root.as_posix())


def _find(root: Path) -> list[_Recording]:
    """All recordings of the first folder that holds any, in order of speaker, digit and index."""
    for pattern in _FOLDERS:
        found = [
            _Recording(file.relative_to(root).as_posix(), int(m["digit"]), m["speaker"], int(m["index"]), "train")
            for folder in ([root] if pattern == "." else sorted(root.glob(pattern)))
            for file in folder.glob("*.wav")
            if (m := _NAME.fullmatch(file.name))
        ]
        if found:
            return sorted(found, key=lambda r: (r.speaker, r.digit, r.index))
    return []


def _split(recordings: list[_Recording], corpus: FsddCorpus) -> list[_Recording]:
    if corpus.test_speaker is None:
        return [replace(r, split="test" if r.index < 5 else "valid" if r.index < 10 else "train") for r in recordings]
    speakers = sorted({r.speaker for r in recordings})
    for key, name in (("test_speaker", corpus.test_speaker), ("valid_speaker", corpus.valid_speaker)):
        if name is not None and name not in speakers:
            raise ValueError(
                f"corpus.{key}: no recording of '{name}'; the speakers are {', '.join(speakers)}: name one of them"
            )
    valid = corpus.valid_speaker or speakers[(speakers.index(corpus.test_speaker) + 1) % len(speakers)]
    if valid == corpus.test_speaker:
        raise ValueError(
            f"corpus.test_speaker: '{valid}' is the only speaker, and none is left for validation: add recordings of "
            "another, or remove test_speaker"
        )
    chosen: dict[str, Split] = {corpus.test_speaker: "test", valid: "valid"}
    return [replace(r, split=chosen.get(r.speaker, "train")) for r in recordings]


def _single(recordings: list[_Recording]) -> Iterator[RawUtterance]:
    for r in recordings:
        yield RawUtterance(
            id=f"{r.digit}_{r.speaker}_{r.index}",
            path=r.path,
            text=DIGITS[r.digit],
            root="",
            speaker=r.speaker,
            split=r.split,
        )


def _connected(recordings: list[_Recording], settings: ConnectedDigits) -> Iterator[RawUtterance]:
    """Strings dealt from shuffled decks: each recording of a speaker and split is used about equally often."""
    for speaker_index, speaker in enumerate(sorted({r.speaker for r in recordings})):
        own = [r for r in recordings if r.speaker == speaker]
        for split_index, split in enumerate(SPLITS):
            of_split = [r for r in own if r.split == split]
            count = round(settings.utterances_per_speaker * len(of_split) / len(own))
            rng = np.random.default_rng((settings.seed, speaker_index, split_index))
            deck = _shuffled_for_ever(of_split, rng)
            for number in range(count):
                length = int(rng.integers(settings.length[0], settings.length[1] + 1))
                drawn = [next(deck) for _ in range(length)]
                yield _string(f"{speaker}-{split}-{number:05d}", drawn, settings.pause_s, rng)


def _shuffled_for_ever(recordings: list[_Recording], rng: np.random.Generator) -> Iterator[_Recording]:
    while True:
        yield from (recordings[i] for i in rng.permutation(len(recordings)))


def _string(name: str, drawn: list[_Recording], pause_s: tuple[float, float], rng: np.random.Generator) -> RawUtterance:
    gaps_s = [0.0, *(round(float(gap_s), 4) for gap_s in rng.uniform(*pause_s, size=len(drawn) - 1))]
    return RawUtterance(
        id=name,
        path=drawn[0].path,
        text=" ".join(DIGITS[r.digit] for r in drawn),
        root="",
        speaker=drawn[0].speaker,
        split=drawn[0].split,
        parts=tuple(Part(r.path, gap_s) for r, gap_s in zip(drawn, gaps_s, strict=True)),
    )
