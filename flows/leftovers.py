"""What no stage needs any more: folders of students that are gone (they would count as inputs of measure and report),
and resume states of stages that are up to date."""

import shutil
from pathlib import Path

from flows.estimate import stage_label
from flows.graph import Graph, State
from tasks.scratch import remove_scratch

PLACES = ("exports", "evaluation")


def remove_leftovers(root: Path, graph: Graph) -> list[Path]:
    """Remove what no stage makes any more (DVC's cache keeps it); gives the folders removed.

    Only folders that the pipeline alone writes to are looked at: models/ may hold a user's own.
    """
    made = {Path(out).parts[:2] for node in graph.nodes.values() for out in node.outs}
    gone = [
        child
        for place in PLACES
        if (root / place).is_dir()
        for child in sorted((root / place).iterdir())
        if child.is_dir() and (place, child.name) not in made
    ]
    for child in gone:
        shutil.rmtree(child)
    return gone


def remove_spent_scratch(root: Path, state: State) -> None:
    """Remove the resume states that `dvc repro` alone, or a killed run, left of stages that are up to date now."""
    for name in state.graph.nodes:
        if name not in state.stale:
            remove_scratch(root, stage_label(name))
