"""What params.yaml names and is not there, or cannot be named: files and folders that nobody makes but the user."""

import os
from collections.abc import Iterator
from pathlib import Path

from tasks.params import errors
from tasks.params.corpora import CorpusParams, ManifestCorpus, SeveralCorpora, SyntheticCorpus
from tasks.params.corpus_formats import CorpusOfOthers, paths_by_part
from tasks.params.graph import MODELS
from tasks.params.pipeline import Params
from tasks.params.teachers import PipelineModelTeacher
from tasks.params.trained import NOTHING


def missing_inputs(params: Params, project: Path) -> list[str]:
    """One line for each, with the key that names it; paths are relative to the project's folder."""
    corpora = list(_of_corpora(params))
    missing = [
        errors.format_value(
            f"{key}: {path} is not there (looked for in {printable_path(project.resolve())}): put it there, or correct "
            "the path",
            errors.LINE_CHARACTERS,
            plain=True,
        )
        for key, path in [*corpora, *_of_units(params), *_of_teachers(params)]
        if not _is_there(project / path)
    ]
    roots = [(key, path) for key, path in corpora if key.endswith(".root") and ".parts." not in key]
    return missing + [line for key, path in roots for line in _odd_names(key, project, path)]


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long
        return False


def printable_path(path: Path) -> str:
    """A path as any terminal can print it: bytes that are not UTF-8 as escapes."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def _odd_names(key: str, project: Path, root: Path) -> Iterator[str]:
    """Files within whose names no table can hold; DVC, which reads the folder, cannot either."""
    odd = [
        os.path.relpath(os.path.join(folder, name), project)  # noqa: PTH118  # a path of a file may be of any bytes
        for folder, folders, files in os.walk(project / root)
        for name in (*folders, *files)
        if not _is_utf_8(name)
    ]
    if odd:
        yield (
            f"{key}: {len(odd)} names within {root} are not UTF-8, such as {printable_path(Path(min(odd)))}: neither "
            "DVC nor a table can hold them. Rename them, for example by `convmv -r -f latin1 -t utf8 --notest`"
        )


def _is_utf_8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _of_corpora(params: Params) -> Iterator[tuple[str, Path]]:
    yield from _of_corpus(params.corpus, "corpus")
    for name, canary in params.evaluation.canary.items():
        yield from _of_corpus(canary.corpus, f"evaluation.canary.{name}.corpus")


def _of_corpus(corpus: CorpusParams, key: str) -> Iterator[tuple[str, Path]]:
    """DVC wants the root of the whole even where audio is downloaded into it; parts lie within that."""
    if ".parts." not in key or not getattr(corpus, "download", False):
        yield f"{key}.root", corpus.root
    if isinstance(corpus, ManifestCorpus):
        yield f"{key}.file", corpus.root / corpus.file
    elif isinstance(corpus, CorpusOfOthers):
        yield from _of_parts(corpus, key)
    elif isinstance(corpus, SyntheticCorpus):
        for i, phrases in enumerate(corpus.phrases):
            if phrases.kind == "list":
                yield f"{key}.phrases.{i}.file", corpus.root / phrases.file
    elif isinstance(corpus, SeveralCorpora):
        for name, part in corpus.parts.items():
            yield from _of_corpus(part.corpus, f"{key}.parts.{name}.corpus")


def _of_parts(corpus: CorpusOfOthers, key: str) -> Iterator[tuple[str, Path]]:
    """Of what lies on this machine and is named without a pattern; the stage corpus looks at the rest."""
    if getattr(corpus, "hub", None) is not None:
        return
    place, paths = paths_by_part(corpus)
    for part, name in paths.items():
        if not set(name) & {"*", ":"}:
            yield f"{key}.{place}.{part}", corpus.root / name


def _of_units(params: Params) -> Iterator[tuple[str, Path]]:
    if params.problem.kind == "transcription" and params.problem.units.kind == "tokens":
        yield "problem.units.file", params.corpus.root / params.problem.units.file


def _of_teachers(params: Params) -> Iterator[tuple[str, Path]]:
    """Keys and paths of teachers that are read from elsewhere: a model under models/ is made before its reader, and
    models/none stands for nothing."""
    adopted = {"teacher": params.teacher} | {f"teachers.{name}": teacher for name, teacher in params.teachers.items()}
    for key, teacher in adopted.items():
        made = isinstance(teacher, PipelineModelTeacher) and teacher.path.parent == MODELS
        if not made and Path(teacher.path) != Path(NOTHING):
            yield f"{key}.path", Path(teacher.path)
