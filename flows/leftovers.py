"""What no stage needs any more: folders of students that are gone (they would count as inputs of profile and report),
and resume states of stages that are up to date."""

import shutil
from pathlib import Path

from flows.estimate import stage_label
from flows.graph import Graph, State
from flows.lock_file import recorded_outs
from tasks.runner.resume import remove_scratch

PLACES = ("exports", "evaluation")


def remove_leftovers(root: Path, graph: Graph) -> tuple[list[Path], list[Path]]:
    """Remove what a stage made that is there no more (DVC's cache keeps it).

    Gives the folders removed, and those left alone: no stage made them, or they hold something else than it left.
    """
    made = {Path(out).parts[:2] for node in graph.nodes.values() for out in node.outs}
    recorded = recorded_outs(root)
    strangers = [
        child
        for place in PLACES
        if (root / place).is_dir()
        for child in sorted((root / place).iterdir())
        if child.is_dir() and (place, child.name) not in made
    ]
    gone = [child for child in strangers if _as_recorded(child, recorded.get(child.relative_to(root).as_posix()))]
    for child in gone:
        shutil.rmtree(child)
    return gone, [child for child in strangers if child not in gone]


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
