"""Data sets of torchaudio. It finds, or downloads, and lists them; soundfile reads their audio.

`torchaudio.datasets` is imported only here, and only when such a corpus is asked for.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tasks.data.corpora.raw import Place, RawUtterance, Split
from tasks.params.corpora import TorchaudioCorpus

_YESNO_WORDS = {"0": "no", "1": "yes"}


def torchaudio_rows(corpus: TorchaudioCorpus, place: Place) -> Iterator[RawUtterance]:
    """Rows of a named data set, with its official splits (YESNO has none, and one speaker)."""
    root = place.project / corpus.root
    root.mkdir(parents=True, exist_ok=True)
    yield from place.reporter.progress(_SETS[corpus.dataset](corpus, root), label=corpus.dataset)


def _open(corpus: TorchaudioCorpus, root: Path, **options: Any) -> Any:
    from torchaudio import datasets

    if not corpus.download:
        remedy = "Is corpus.root the folder that holds it? Or set corpus.download: true"
    else:
        remedy = f"Is there a connection? Or fetch it by hand, unpack it in {root} and set corpus.download: false"
    try:
        found = getattr(datasets, corpus.dataset)(root, download=corpus.download, **options)
    except (RuntimeError, OSError) as error:
        raise ValueError(f"torchaudio finds no {corpus.dataset} in {root}: {error}. {remedy}") from error
    if len(found) == 0:
        raise ValueError(f"{corpus.dataset} in {root} holds no recording. {remedy}")
    return found


def _speech_commands(corpus: TorchaudioCorpus, root: Path) -> Iterator[RawUtterance]:
    subsets: dict[str, Split] = {"training": "train", "validation": "valid", "testing": "test"}
    for subset, split in subsets.items():
        found = _open(corpus, root, subset=subset)
        for i in range(len(found)):
            path, _, label, speaker, number = found.get_metadata(i)
            yield RawUtterance(
                id=f"{label}-{speaker}-{number}",
                path=f"SpeechCommands/{path}",
                text=label,
                root=corpus.root.as_posix(),
                speaker=speaker,
                split=split,
            )


def _librispeech(corpus: TorchaudioCorpus, root: Path) -> Iterator[RawUtterance]:
    splits: dict[str, Split] = {"train": "train", "dev": "valid", "test": "test"}
    for subset in corpus.subsets:
        found = _open(corpus, root, url=subset)
        for i in range(len(found)):
            path, _, text, speaker, chapter, number = found.get_metadata(i)
            yield RawUtterance(
                id=f"{speaker}-{chapter}-{number:04d}",
                path=f"LibriSpeech/{path}",
                text=text,
                root=corpus.root.as_posix(),
                speaker=str(speaker),
                split=splits[subset.split("-")[0]],
            )


def _yesno(corpus: TorchaudioCorpus, root: Path) -> Iterator[RawUtterance]:
    _open(corpus, root)
    for file in sorted((root / "waves_yesno").glob("*.wav")):
        yield RawUtterance(
            id=file.stem,
            path=f"waves_yesno/{file.name}",
            text=" ".join(_YESNO_WORDS[digit] for digit in file.stem.split("_")),
            root=corpus.root.as_posix(),
        )


_SETS: dict[str, Callable[[TorchaudioCorpus, Path], Iterator[RawUtterance]]] = {
    "SPEECHCOMMANDS": _speech_commands,
    "LIBRISPEECH": _librispeech,
    "YESNO": _yesno,
}
