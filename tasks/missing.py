"""What params.yaml names and is not there: files and folders that nobody makes but the user."""

from collections.abc import Iterator
from pathlib import Path

from tasks.params.corpora import CorpusParams, ManifestCorpus, SeveralCorpora, SyntheticCorpus
from tasks.params.pipeline import Params
from tasks.params.teachers import NOTHING, ModelTeacher

MADE_HERE = Path("models")
"""The folder of what stages make."""


def missing_inputs(params: Params, project: Path) -> list[str]:
    """One line for each, with the key that names it; paths are relative to the project's folder."""
    named = [*_of_corpus(params.corpus, "corpus"), *_of_teachers(params)]
    return [
        f"{key}: {path} is not there (looked for in {project.resolve()})"
        for key, path in named
        if not (project / path).exists()
    ]


def _of_corpus(corpus: CorpusParams, key: str) -> Iterator[tuple[str, Path]]:
    """DVC wants the root of the whole even where audio is downloaded into it."""
    if key == "corpus" or not getattr(corpus, "download", False):
        yield f"{key}.root", corpus.root
    if isinstance(corpus, ManifestCorpus):
        yield f"{key}.file", corpus.root / corpus.file
    elif isinstance(corpus, SyntheticCorpus):
        for i, phrases in enumerate(corpus.phrases):
            if phrases.kind == "list":
                yield f"{key}.phrases.{i}.file", corpus.root / phrases.file
    elif isinstance(corpus, SeveralCorpora):
        for name, part in corpus.parts.items():
            yield from _of_corpus(part.corpus, f"{key}.parts.{name}.corpus")


def _of_teachers(params: Params) -> Iterator[tuple[str, Path]]:
    """Those that are adopted: a model under models/ is made before its reader, and models/none stands for nothing."""
    adopted = {"teacher": params.teacher} | {f"teachers.{name}": teacher for name, teacher in params.teachers.items()}
    for key, teacher in adopted.items():
        made = isinstance(teacher, ModelTeacher) and teacher.path.parent == MADE_HERE
        if not made and Path(teacher.path) != Path(NOTHING):
            yield f"{key}.path", Path(teacher.path)
