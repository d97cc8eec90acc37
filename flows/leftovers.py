"""Folders of students that params.yaml no longer names: they would count as inputs of measure and report."""

import shutil
from pathlib import Path

from flows.graph import Graph

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
