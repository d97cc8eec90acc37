"""What a folder holds, part by part: data folders of Kaldi, archives, Parquet files, tarred data sets of NeMo."""

from collections.abc import Callable, Sequence
from glob import escape, glob
from pathlib import Path

from tasks.data.importing.parts import by_part, named_parts, part_of, part_of_file
from tasks.data.importing.patterns import pattern_for
from tasks.params.corpus_formats import FilePart


def kaldi_folders(folder: Path) -> list[Path]:
    """Those with wav.scp: the folder itself, or folders in it."""
    if (folder / "wav.scp").is_file():
        return [folder]
    return sorted(file.parent for file in folder.glob("*/wav.scp"))


def kaldi_parts(folder: str, say: Callable[[str], None]) -> dict[FilePart, str]:
    """The data folders in a folder, by what their names say; say: told which are left out.

    Raises ValueError where their names do not say which is for training, or two are of one part.
    """
    inside = [str(found) for found in kaldi_folders(Path(folder))]
    known = [found for found in inside if part_of(found) != "all"]
    left = [found for found in inside if found not in known]
    if len(inside) == 1:
        return {part_of(inside[0]): inside[0]}
    if left and "train" not in map(part_of, known):
        raise ValueError(
            f"{folder}: the names of its data folders do not say which is for training: write PART=FOLDER for each of "
            f"{', '.join(inside)} that is to be read (PART: train, valid, test or all)"
        )
    named = named_parts([f"{part_of(found)}={found}" for found in known])
    if left:
        say(f"Left out, for their names say no part: {', '.join(left)}. PART=FOLDER for each names what is read")
    return named


def parquet_files(folder: Path) -> list[Path]:
    """As the hub lays them out: in the folder, or in `data` within it."""
    return _matching(folder, "*.parquet") or _matching(folder / "data", "*.parquet")


def archives(folder: Path) -> list[Path]:
    """Tar archives in it."""
    return _matching(folder, "*.tar")


def file_parts(part: FilePart, files: Sequence[Path], folder: str) -> dict[FilePart, str]:
    """A pattern of each part, or of the one that is said, which stands for exactly its files.

    files: all of one folder. Raises ValueError where no pattern does, or there are no files.
    """
    if not files:
        raise ValueError(f"{folder}: there are no files of this kind in it: correct it")
    there = [path.name for path in files[0].parent.iterdir()]
    found: dict[FilePart, str] = {}
    named = by_part((part_of_file(file) if part == "all" else part, file.name) for file in files)
    for of, names in named.items():
        pattern = pattern_for(names, there)
        if pattern is None:
            some = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
            raise ValueError(
                f"{folder}: no pattern with * stands for the {len(names)} files of the part {of} alone ({some}): "
                "write PART=PATTERN for each part (train, valid, test or all)"
            )
        found[of] = str(files[0].parent / pattern)
    return found


def tarred(path: str) -> tuple[str, str] | None:
    """Manifests and archives of a tarred data set of NeMo, of its folder or of a manifest in it; None of what is none.

    As NeMo writes it: audio_*.tar, tarred_audio_manifest.json, and sharded_manifests/ with one for each archive.
    """
    here = Path(path)
    folder = here if here.is_dir() else here.parent
    if folder != here and folder.name == "sharded_manifests":
        folder = folder.parent
    tars = _matching(folder, "audio_*.tar")
    if not tars:
        return None
    if folder != here and here.parent in (folder, folder / "sharded_manifests") and not here.is_dir():
        is_one = here.name.startswith(("tarred_audio_manifest", "manifest_"))
        return (path, str(folder / "audio_*.tar")) if is_one else None
    shards = [(folder / inside / "manifest_*.json") for inside in ("sharded_manifests", ".")]
    found = [(str(pattern), len(_matching(pattern.parent, pattern.name))) for pattern in shards]
    whole = folder / "tarred_audio_manifest.json"
    candidates = [pattern for pattern, count in found if count == len(tars)]
    candidates += [str(whole)] if whole.is_file() else [pattern for pattern, count in found if count]
    return (candidates[0], str(folder / "audio_*.tar")) if candidates else None


def _matching(folder: Path, pattern: str) -> list[Path]:
    """As corpora/sources.py expands a pattern: without hidden files."""
    return [Path(found) for found in sorted(glob(str(Path(escape(str(folder))) / pattern)))]  # noqa: PTH207
