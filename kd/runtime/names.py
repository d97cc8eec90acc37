"""What the files of transcripts are called: no two alike."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from kd.runtime.find import STREAM


def names_of(files: Sequence[str]) -> dict[str, str]:
    """A file's name without its suffix; with its folders, its suffix and a number where others have the same."""
    stems = {file: "stdin" if file == STREAM else Path(file).stem for file in files}
    whole = {file: "_".join(Path(file).parts).strip("/_.") for file in files}
    bare = {
        file: "_".join(Path(file).with_suffix("").parts).strip("/_.") if file != STREAM else "stdin" for file in files
    }
    names: dict[str, str] = {}
    for choices in (stems, bare, whole):
        counts = Counter(choices[file].casefold() for file in choices)
        taken = {name.casefold() for name in names.values()}
        for file, name in choices.items():
            if file not in names and name and counts[name.casefold()] == 1 and name.casefold() not in taken:
                names[file] = name
    taken = {name.casefold() for name in names.values()}
    for file in files:
        number = 2
        while file not in names:
            name = f"{whole[file]}_{number}"
            if name.casefold() not in taken:
                names[file] = name
                taken.add(name.casefold())
            number += 1
    return names
