"""Phrases spoken by eSpeak NG in drawn rooms: a corpus out of nothing, the same for the same seed."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from tasks.data.corpora.espeak import EspeakFiles, espeak_files, say
from tasks.data.corpora.phrases import PhraseBook
from tasks.data.corpora.raw import SPLITS, Place, RawUtterance, Split
from tasks.data.corpora.rooms import in_room
from tasks.data.corpora.voices import divide_voices
from tasks.params.corpora import RoomParams, SyntheticCorpus
from tasks.runner.parallel import ordered_map


@dataclass(frozen=True)
class _Order:
    """One utterance to be made."""

    id: str
    text: str
    speaker: str
    split: Split
    words_per_minute: int
    pitch: int
    seed: tuple[int, ...]
    room: RoomParams
    out: Path

    @property
    def path(self) -> str:
        return f"audio/{self.split}/{self.id}.flac"


def synthetic_rows(corpus: SyntheticCorpus, place: Place) -> Iterator[RawUtterance]:
    """Make the audio under `place.out`, and yield its rows. Every draw follows from `corpus.seed`.

    Utterance i of a split depends on nothing but the seed, the split and i (and on who speaks in it).
    """
    book = PhraseBook(corpus.phrases, place.project / corpus.root)
    for split in SPLITS:
        (place.out / "audio" / split).mkdir(parents=True)
    with espeak_files() as files:
        speakers = divide_voices(Path(files.data), corpus.speakers, np.random.default_rng(corpus.seed))
        orders = (
            _draw(corpus, book, speakers[split], split, number, place.out)
            for split in SPLITS
            for number in range(corpus.utterances[split])
        )
        made = ordered_map(partial(_make, files=files, lies_in=place.lies_in), orders, workers=0)
        yield from place.reporter.progress(made, sum(corpus.utterances.values()), "speaking")


def _draw(
    corpus: SyntheticCorpus, book: PhraseBook, speakers: list[str], split: Split, number: int, out: Path
) -> _Order:
    seed = (corpus.seed, SPLITS.index(split), number)
    rng = np.random.default_rng(seed)
    return _Order(
        id=f"{split}-{number:06d}",
        text=book.draw(rng),
        speaker=speakers[number % len(speakers)],
        split=split,
        words_per_minute=int(rng.integers(corpus.words_per_minute[0], corpus.words_per_minute[1] + 1)),
        pitch=int(rng.integers(corpus.pitch[0], corpus.pitch[1] + 1)),
        seed=(*seed, 1),
        room=corpus.room,
        out=out,
    )


def _make(order: _Order, files: EspeakFiles, lies_in: str) -> RawUtterance:
    sound, rate_hz = say(files, order.text, f"gmw/{order.speaker}", order.words_per_minute, order.pitch)
    clean_N = np.frombuffer(sound, "<i2") / 32768.0
    if not clean_N.any():
        raise ValueError(f"eSpeak NG makes no sound of the phrase '{order.text}': write it in English words")
    recorded_N, snr_db = in_room(clean_N, rate_hz, order.room, np.random.default_rng(order.seed))
    soundfile.write(order.out / order.path, recorded_N, rate_hz, subtype="PCM_16")
    return RawUtterance(
        id=order.id,
        path=order.path,
        text=order.text,
        root=lies_in,
        speaker=order.speaker,
        split=order.split,
        snr_db=snr_db,
    )
