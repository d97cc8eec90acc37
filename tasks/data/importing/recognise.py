"""Which corpus a path holds, by what lies there; and the settings that read it."""

import gzip
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from tasks.data.corpora.huggingface import has_audio
from tasks.data.importing.hub import PREFIX, hub_settings
from tasks.data.remote import scheme_of
from tasks.params.corpus_formats import FilePart
from tasks.params.names import TABLES
from tasks.params.trained import NOTHING

_PARTS: dict[FilePart, tuple[str, ...]] = {
    "train": ("train", "training"),
    "valid": ("valid", "val", "dev", "validation"),
    "test": ("test", "testing"),
}
COMMON_VOICE = {"train": "train.tsv", "valid": "dev.tsv", "test": "test.tsv"}
_HEAD = 65_536  # bytes of a table that are looked at


def settings_of(given: list[str], kind: str | None, root: str | None, project: Path) -> dict[str, Any]:
    """The section `corpus`. given: paths or addresses, each PATH or PART=PATH, or one hf:NAME of the hub; root: where
    paths start, None: found.

    Raises ValueError that says what was looked for where nothing is recognised.
    """
    if given[0].startswith(PREFIX) and scheme_of(given[0]) is None:
        if len(given) > 1:
            raise ValueError(f"{given[0]} is a whole data set: import it alone")
        return hub_settings(given[0], _part_of)
    named = dict(_named(given))
    first = next(iter(named.values()))
    kind = kind or kind_of(first)
    if kind not in _SETTINGS:
        raise ValueError(f"--kind: '{kind}' cannot be imported; there are {', '.join(_SETTINGS)}")
    return _SETTINGS[kind](named, root, project)


def _named(given: list[str]) -> Iterator[tuple[FilePart, str]]:
    seen: dict[str, str] = {}
    for argument in given:
        before, equals, path = argument.partition("=")
        explicit = bool(equals) and before in (*_PARTS, "all")
        part = cast(FilePart, before) if explicit else _part_of(argument) if len(given) > 1 else "all"
        path = path if explicit else argument
        if part in seen:
            raise ValueError(
                f"{seen[part]} and {path} are both of the part {part}: write PART=PATH (train, valid, test or all) "
                "before each, or name several by one pattern with *"
            )
        seen[part] = path
        yield part, path


def _part_of(path: str) -> FilePart:
    """By the words in its last name, such as dev of data/dev_clean."""
    words = "".join(c if c.isalnum() else " " for c in Path(path).name.lower()).split()
    return next((part for part, names in _PARTS.items() if set(words) & set(names)), "all")


def kind_of(path: str) -> str:
    """The kind of corpus at a path. Raises ValueError where there is none that is known."""
    here = Path(path)
    if scheme_of(path) is None and "*" in path:
        here = next(iter(sorted(Path().glob(path))), here) if not here.is_absolute() else here
    if here.is_dir():
        for kind, holds in _FOLDERS.items():
            if holds(here):
                return kind
        raise ValueError(
            f"{path}: a folder of no corpus that is known: expected Kaldi's wav.scp, in it or in folders in it, Common "
            "Voice's train.tsv or validated.tsv with clips/, lhotse's cuts.*.jsonl.gz, Parquet files or tar archives. "
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


def _kaldi_folders(folder: Path) -> list[Path]:
    if (folder / "wav.scp").is_file():
        return [folder]
    return sorted(file.parent for file in folder.glob("*/wav.scp"))


def _parquet_files(folder: Path) -> list[Path]:
    """As the hub lays them out: in the folder, or in `data` within it."""
    return sorted(folder.glob("*.parquet")) or sorted(folder.glob("data/*.parquet"))


_FOLDERS: dict[str, Callable[[Path], Any]] = {
    "kaldi": _kaldi_folders,
    "common_voice": _holds_common_voice,
    "lhotse": lambda folder: sorted(folder.glob("cuts.*.jsonl*")),
    "huggingface": _parquet_files,
    "webdataset": lambda folder: sorted(folder.glob("*.tar")),
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
    here = {part: path for part, path in named.items() if scheme_of(path) is None}
    if root is None:
        folders = [os.path.dirname(os.path.abspath(path)) for path in here.values()]  # noqa: PTH100, PTH120
        root = _short(os.path.commonpath(folders), project) if folders else NOTHING
    return root, {
        part: path if scheme_of(path) is not None else os.path.relpath(path, project / root)
        for part, path in named.items()
    }


def _nemo(named: dict[FilePart, str], root: str | None, project: Path) -> dict[str, Any]:
    first = next(iter(named.values()))
    if root is None and scheme_of(first) is None and "*" not in first:
        root = _root_above(Path(first).parent, str(_first_object(Path(first)).get("audio_filepath", "")), project)
    root, files = _tables(named, root, project)
    return {"kind": "nemo", "root": root, "files": files}


def _kaldi(named: dict[FilePart, str], root: str | None, project: Path) -> dict[str, Any]:
    first = next(iter(named.values()))
    inside = _kaldi_folders(Path(first)) if scheme_of(first) is None else []
    if len(named) == 1 and inside and inside != [Path(first)]:
        named = dict(_named([str(folder) for folder in inside if _part_of(str(folder)) != "all"] or [first]))
        inside = [Path(folder) for folder in named.values()]
    if root is None:
        where = inside[0] if inside else Path(first)
        scp = where / "wav.scp"
        audio = _first_line(scp).replace("\t", " ").partition(" ")[2].strip() if scp.is_file() else ""
        root = _root_above(where, audio, project)
    root, folders = _tables(named, root, project)
    return {"kind": "kaldi", "root": root, "folders": folders}


def _common_voice(named: dict[FilePart, str], root: str | None, project: Path) -> dict[str, Any]:
    first = next(iter(named.values()))
    if len(named) == 1 and Path(first).is_dir():
        found = {part: name for part, name in COMMON_VOICE.items() if (Path(first) / name).is_file()}
        files = found or {"all": "validated.tsv"}
        return {"kind": "common_voice", "root": root or _short(first, project), "files": files}
    root, files = _tables(named, root, project)
    return {"kind": "common_voice", "root": root, "files": files}


def _huggingface(named: dict[FilePart, str], root: str | None, project: Path) -> dict[str, Any]:
    return _of_files("huggingface", _parquet_files, named, root, project)


def _webdataset(named: dict[FilePart, str], root: str | None, project: Path) -> dict[str, Any]:
    return _of_files("webdataset", lambda folder: sorted(folder.glob("*.tar")), named, root, project)


def _of_files(
    kind: str,
    files_of: Callable[[Path], list[Path]],
    named: dict[FilePart, str],
    root: str | None,
    project: Path,
) -> dict[str, Any]:
    """Of a folder each part is the files whose names begin so, such as data/train-*.parquet."""
    first = next(iter(named.values()))
    if len(named) == 1 and scheme_of(first) is None and Path(first).is_dir():
        root = root or _short(first, project)
        found: dict[str, str] = {}
        for file in files_of(Path(first)):
            begins = file.stem.partition("-")[0]
            pattern = f"{begins}-*{file.suffix}" if "-" in file.stem else file.name
            found[_part_of(begins)] = os.path.relpath(file.parent / pattern, project / root)
        return {"kind": kind, "root": root, "files": found}
    root, files = _tables(named, root, project)
    return {"kind": kind, "root": root, "files": files}


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
    "huggingface": _huggingface,
    "lhotse": _lhotse,
    "webdataset": _webdataset,
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
