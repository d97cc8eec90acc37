"""What no stage needs any more: folders of students, and of a canary, that are gone (they would count as inputs),
and resume states of stages that are up to date."""

import shutil
from pathlib import Path

from flows.dvc_state.graph import Graph, State, stage_label
from flows.dvc_state.lock_file import recorded_outs
from tasks.runner.resume import remove_scratch

PLACES = ("exports", "evaluation", "canary")


def leftovers(root: Path, graph: Graph) -> tuple[list[Path], list[Path]]:
    """Folders that a stage made which is there no more, and those that nobody knows.

    Of the latter no stage made any, or they hold something else than it left.
    """
    made = {Path(out).parts[:2] for node in graph.nodes.values() for out in node.outs}
    recorded = recorded_outs(root)
    unknown = [
        child
        for place in PLACES
        if (root / place).is_dir()
        for child in sorted((root / place).iterdir())
        if child.is_dir() and (place, child.name) not in made
    ]
    gone = [child for child in unknown if _as_recorded(child, recorded.get(child.relative_to(root).as_posix()))]
    return gone, [child for child in unknown if child not in gone]


def remove_leftovers(root: Path, graph: Graph) -> tuple[list[Path], list[Path]]:
    """Remove what a stage made that is there no more (DVC's cache keeps it); gives what `leftovers` did."""
    gone, left = leftovers(root, graph)
    for folder in gone:
        shutil.rmtree(folder)
    return gone, left


def _as_recorded(folder: Path, facts: tuple[int, int] | None) -> bool:
    """Whether a folder is what a stage left, by size and number of files; a link is a user's own."""
    if facts is None or folder.is_symlink():
        return False
    files = [file for file in folder.rglob("*") if not file.is_dir()]
    return (sum(file.stat().st_size for file in files if file.exists()), len(files)) == facts


def remove_spent_scratch(root: Path, state: State) -> None:
    """Remove the resume states that `dvc repro` alone, or a killed run, left of stages that are up to date now."""
    for name in state.graph.nodes:
        if name not in state.stale:
            remove_scratch(root, stage_label(name))
