"""Which corpus a path holds, by what lies there; and the settings that read it."""

import gzip
import json
import os
from collections.abc import Callable, Iterable
from functools import partial
from glob import glob
from pathlib import Path
from typing import Any

from kd.runtime.terminal import say
from tasks.data.corpora.huggingface import has_audio
from tasks.data.importing.folders import archives, file_parts, kaldi_folders, kaldi_parts, parquet_files, tarred
from tasks.data.importing.hub import PREFIX, hub_settings
from tasks.data.importing.parts import named_parts
from tasks.data.remote import scheme_of
from tasks.params.corpus_formats import CommonVoiceCorpus, FilePart
from tasks.params.names import TABLES
from tasks.params.trained import NOTHING

COMMON_VOICE: dict[FilePart, str] = CommonVoiceCorpus.model_fields["files"].default
_HEAD = 65_536  # bytes of a table that are looked at


def settings_of(
    given: list[str], kind: str | None, root: str | None, project: Path, say: Callable[[str], None] = say
) -> dict[str, Any]:
    """The section `corpus`. given: paths or addresses, each PATH or PART=PATH, or one hf:NAME of the hub; root: where
    paths start, None: found; say: told what is left out.

    Raises ValueError that says what was looked for where nothing is recognised, and where recordings lie all over the
    machine.
    """
    if given[0].startswith(PREFIX) and scheme_of(given[0]) is None:
        if len(given) > 1:
            raise ValueError(f"{given[0]} is a whole data set: import it alone")
        return hub_settings(given[0], say)
    named = named_parts(given)
    first = next(iter(named.values()))
    kind = kind or kind_of(first)
    if kind not in _SETTINGS:
        raise ValueError(f"--kind: '{kind}' cannot be imported; there are {', '.join(_SETTINGS)}")
    if kind == "kaldi" and len(named) == 1 and scheme_of(first) is None and kaldi_folders(Path(first)):
        named = named if (Path(first) / "wav.scp").is_file() else kaldi_parts(first, say)
    settings = _SETTINGS[kind](named, root, project)
    if root is None:
        _require_narrow(Path(settings["root"]), first, project)
    return settings


def _require_narrow(root: Path, first: str, project: Path) -> None:
    """DVC reads all of the root."""
    home = Path(os.path.expanduser("~"))  # noqa: PTH111  # it never raises
    if root.is_absolute() and home.is_relative_to(root):
        raise ValueError(
            f"{first}: only {root} holds it and all of its recordings, and DVC would watch all of that: say --root, or "
            "put the table beside the audio"
        )


def kind_of(path: str) -> str:
    """The kind of corpus at a path. Raises ValueError where there is none that is known."""
    here = Path(path)
    if scheme_of(path) is None and "*" in path:
        here = Path(next(iter(sorted(glob(path))), path))  # noqa: PTH207  # as sources.py expands it
    if here.is_dir():
        for kind, holds in _FOLDERS.items():
            if holds(here):
                return kind
        raise ValueError(
            f"{path}: a folder of no corpus that is known: expected Kaldi's wav.scp, in it or in folders in it, Common "
            "Voice's train.tsv or validated.tsv with clips/, lhotse's cuts.*.jsonl.gz, Parquet files, tar archives. "
            "Name a table in it, or say --kind"
        )
    if scheme_of(path) is None and not here.is_file():
        raise ValueError(f"{path}: there is no such file or folder: correct it")
    suffix = here.suffix.lower()
    if path.endswith(".jsonl.gz") or (suffix == ".jsonl" and scheme_of(path) is None and _is_cut(_first_object(here))):
        return "lhotse"
    if suffix in (".json", ".jsonl") and (scheme_of(path) is not None or "audio_filepath" in _first_object(here)):
        return "nemo"
    if suffix == ".tsv" and (scheme_of(path) is not None or "client_id" in _first_line(here).split("\t")):
        return "common_voice"
    if suffix == ".tar":
        return "webdataset"
    if suffix == ".parquet" and (scheme_of(path) is not None or has_audio(here)):
        return "huggingface"
    if suffix in TABLES:
        return "manifest"
    raise ValueError(f"{path}: no corpus that is known ends in '{suffix}': name a table, or say --kind")


def _holds_common_voice(folder: Path) -> bool:
    return (folder / "clips").is_dir() and any((folder / name).is_file() for name in _common_voice_tables())


def _common_voice_tables() -> tuple[str, ...]:
    return (*COMMON_VOICE.values(), "validated.tsv")


_FOLDERS: dict[str, Callable[[Path], Any]] = {
    "kaldi": kaldi_folders,
    "common_voice": _holds_common_voice,
    "lhotse": lambda folder: sorted(folder.glob("cuts.*.jsonl*")),
    "huggingface": parquet_files,
    "nemo": lambda folder: tarred(str(folder)),
    "webdataset": archives,
}


def _is_cut(found: dict[str, Any]) -> bool:
    return str(found.get("type", "")).endswith("Cut")


def _first_line(file: Path) -> str:
    with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as source:
        return source.read(_HEAD).decode("utf-8-sig", "replace").partition("\n")[0].rstrip("\r")


def _first_object(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(_first_line(file))
    except (ValueError, OSError, EOFError):
        return {}
    return found if isinstance(found, dict) else {}


def _tables(named: dict[FilePart, str], root: str | None, project: Path) -> tuple[str, dict[str, str]]:
    """Root and files relative to it: the folder of all tables, or the constant file that stands for nothing."""
    root = root if root is not None else _common_root(named.values(), project)
    return root, _relative(named, root, project)


def _common_root(paths: Iterable[str], project: Path) -> str:
    """Of a pattern the folders before its first * count."""
    here = [path.partition("*")[0] + "*" if "*" in path else path for path in paths if scheme_of(path) is None]
    folders = [os.path.dirname(os.path.abspath(path)) for path in here]  # noqa: PTH100, PTH120
    return _short(os.path.commonpath(folders), project) if folders else NOTHING


def _relative(named: dict[FilePart, str], root: str, project: Path) -> dict[str, str]:
    return {
        part: path if scheme_of(path) is not None else os.path.relpath(path, project / root)
        for part, path in named.items()
    }


def _nemo(named: dict[FilePart, str], root: str | None, project: Path) -> dict[str, Any]:
    sets = {part: tarred(path) if scheme_of(path) is None else None for part, path in named.items()}
    tars = {part: found[1] for part, found in sets.items() if found is not None}
    named = {part: path if (found := sets[part]) is None else found[0] for part, path in named.items()}
    first = next(iter(named.values()))
    if root is None and not tars and scheme_of(first) is None and "*" not in first:
        root = _root_above(Path(first).parent, str(_first_object(Path(first)).get("audio_filepath", "")), project)
    root = root if root is not None else _common_root([*named.values(), *tars.values()], project)
    settings = {"kind": "nemo", "root": root, "files": _relative(named, root, project)}
    return settings | ({"tars": _relative(tars, root, project)} if tars else {})


def _kaldi(named: dict[FilePart, str], root: str | None, project: Path) -> dict[str, Any]:
    first = next(iter(named.values()))
    if root is None and scheme_of(first) is None:
        scp = Path(first) / "wav.scp"
        audio = _first_line(scp).replace("\t", " ").partition(" ")[2].strip() if scp.is_file() else ""
        root = _root_above(Path(first), audio, project)
    root, folders = _tables(named, root, project)
    return {"kind": "kaldi", "root": root, "folders": folders}


def _common_voice(named: dict[FilePart, str], root: str | None, project: Path) -> dict[str, Any]:
    first = next(iter(named.values()))
    if len(named) == 1 and Path(first).is_dir():
        found = {part: name for part, name in COMMON_VOICE.items() if (Path(first) / name).is_file()}
        tables = found or {"all": "validated.tsv"}
        return {"kind": "common_voice", "root": root or _short(first, project), "files": tables}
    root, files = _tables(named, root, project)
    return {"kind": "common_voice", "root": root, "files": files}


def _of_files(
    kind: str,
    files_of: Callable[[Path], list[Path]],
    named: dict[FilePart, str],
    root: str | None,
    project: Path,
) -> dict[str, Any]:
    """Of a folder each part is the files whose names say so, such as data/train-*.parquet."""
    first = next(iter(named.values()))
    if root is None and len(named) == 1 and scheme_of(first) is None and Path(first).is_dir():
        root = _short(first, project)
    files: dict[FilePart, str] = {}
    for part, path in named.items():
        is_folder = scheme_of(path) is None and Path(path).is_dir()
        found = file_parts(part, files_of(Path(path)), path) if is_folder else {part: path}
        if twice := files.keys() & found.keys():
            raise ValueError(
                f"{path}: there are files of {', '.join(sorted(twice))} elsewhere, too: write PART=PATTERN"
            )
        files |= found
    root, relative = _tables(files, root, project)
    return {"kind": kind, "root": root, "files": relative}


def _lhotse(named: dict[FilePart, str], root: str | None, project: Path) -> dict[str, Any]:
    """The root is where the first recording lies, as of Kaldi; a Shar folder holds its own, and lies in the root."""
    first = Path(next(iter(named.values())))
    if root is None and first.is_file():
        recording = _first_object(first).get("recording") or {}
        held: dict[str, Any] = next(iter(recording.get("sources", [])), {})
        root = _root_above(first.parent, str(held.get("source", "")) if held.get("type") == "file" else "", project)
    root, files = _tables(named, root, project)
    return {"kind": "lhotse", "root": root, "files": files}


def _manifest(named: dict[FilePart, str], root: str | None, project: Path) -> dict[str, Any]:
    if len(named) > 1:
        raise ValueError("a manifest is one table with a column split: join them, or make them parts of `several`")
    file = next(iter(named.values()))
    root, files = _tables(named, root, project)
    if scheme_of(file) is not None:
        raise ValueError(f"{file}: a manifest lies on this machine: fetch it; the paths in it may be addresses")
    return {"kind": "manifest", "root": root, "file": next(iter(files.values()))}


_SETTINGS: dict[str, Callable[[dict[FilePart, str], str | None, Path], dict[str, Any]]] = {
    "manifest": _manifest,
    "nemo": _nemo,
    "kaldi": _kaldi,
    "common_voice": _common_voice,
    "huggingface": partial(_of_files, "huggingface", parquet_files),
    "lhotse": _lhotse,
    "webdataset": partial(_of_files, "webdataset", archives),
}


KINDS = frozenset(_SETTINGS)


def _root_above(table: Path, audio: str, project: Path) -> str | None:
    """The nearest folder at or above the table in which its first recording lies; None where there is none."""
    if not audio or scheme_of(audio) is not None:
        return None
    for folder in (table.resolve(), *table.resolve().parents):
        inside = Path(audio).is_absolute() and Path(audio).is_relative_to(folder)
        if inside or (not Path(audio).is_absolute() and (folder / audio).is_file()):
            return _short(folder, project)
    return None


def _short(folder: str | os.PathLike[str], project: Path) -> str:
    """Relative to the project's folder where it lies in it, else absolute."""
    whole = Path(folder).resolve()
    return whole.relative_to(project.resolve()).as_posix() if whole.is_relative_to(project.resolve()) else str(whole)
