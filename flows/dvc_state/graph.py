"""The graph of stages as dvc.yaml declares it, and which of them are stale."""

import subprocess
import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from flows.dvc_state.lock_file import keep_lock_file, mend_lock_file
from flows.dvc_state.locks import release_dead_locks
from flows.environment import our_python_first

DIGESTS = "digests"
"""The stage that says which code each other stage depends on. It is brought up to date before anything is asked."""


@dataclass(frozen=True)
class Node:
    """One stage.

    after: stages whose outputs it reads; outs: what it writes, relative to the root;
    exclusive: it must have the machine to itself.
    """

    name: str
    after: frozenset[str]
    outs: tuple[str, ...] = ()
    exclusive: bool = False
    timeout_s: float | None = None


class Graph:
    """Stages in an order in which each stands behind those it reads from."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self.nodes = {node.name: node for node in nodes}

    def descendants(self, names: Iterable[str]) -> set[str]:
        """These stages and all that directly or indirectly read from them."""
        found = set(names)
        for node in self.nodes.values():
            if node.after & found:
                found.add(node.name)
        return found

    def wait_for(self, name: str, chosen: Collection[str]) -> list[str]:
        """Which of the chosen stages must end before this one starts.

        Where one of two is exclusive, the later in the order waits for the earlier, whatever they read.
        """
        node = self.nodes[name]
        before = set(node.after)
        for other in takewhile(lambda other: other.name != name, self.nodes.values()):
            if node.exclusive or other.exclusive:
                before.add(other.name)
        return [other for other in self.nodes if other in before and other in chosen]


@dataclass(frozen=True)
class State:
    """What one look at the project gave."""

    graph: Graph
    stale: frozenset[str]


class DigestsError(RuntimeError):
    """The digests of code could not be made, as of code that Python cannot read."""


def look(root: Path, say: Callable[[str], None] = print) -> State:
    """Read the graph, and ask DVC what changed; whatever reads from a changed stage is stale too.

    Digests of code are brought up to date first, so that a change of prose makes nothing stale. What a killed process
    left of DVC's own files is mended; `say` gets what that was. Raises DigestsError.
    """
    graph, changed = _ask(root, say)
    if DIGESTS in changed:
        _update_digests(root)
        graph, changed = _ask(root, say)
    return State(graph, frozenset(graph.descendants(changed - {DIGESTS})))


def _ask(root: Path, say: Callable[[str], None]) -> tuple[Graph, set[str]]:
    """The graph, and the stages that DVC calls changed."""
    from dvc.repo import Repo, lock_repo

    with Repo(str(root), _wait_for_lock=True) as repo, lock_repo(repo):
        release_dead_locks(repo)
        if mended := mend_lock_file(root):
            say(mended)
        keep_lock_file(root)
        by_address = {stage.addressing: stage.name for stage in repo.index.stages}  # depends on where we are
        changed = {by_address[address] for address in repo.status() if address in by_address}
        return Graph(_nodes(repo)), changed


def _update_digests(root: Path) -> None:
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--quiet", "--single-item", DIGESTS]
    done = subprocess.run(command, cwd=root, env=our_python_first(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise DigestsError("\n".join(["the digests of the code cannot be made:", *done.stderr.splitlines()[-5:]]))


def _nodes(repo: Any) -> Iterable[Node]:
    """The stages, in the order of dvc.yaml except that each stands behind those it reads from."""
    waiting = [stage for stage in repo.index.stages if stage.name != DIGESTS]
    placed = {stage for stage in repo.index.stages if stage.name == DIGESTS}
    while waiting:
        stage = next(s for s in waiting if placed.issuperset(repo.index.graph.successors(s)))
        waiting.remove(stage)
        placed.add(stage)
        meta = stage.meta or {}
        before = (other.name for other in repo.index.graph.successors(stage))
        yield Node(
            name=stage.name,
            after=frozenset(before) - {DIGESTS},
            outs=tuple(out.def_path for out in stage.outs),
            exclusive=bool(meta.get("exclusive", False)),
            timeout_s=meta.get("timeout_s"),
        )


def stage_label(stage: str) -> str:
    """DVC's name of a stage as MLflow and the harness write it, with a slash.

    distil@baseline becomes distil/baseline, export_teacher export/teacher, cache_logits_of_teachers@a cache_logits/a.
    """
    kind, at, name = stage.partition("@")
    if at:
        return f"{kind.partition('_of_')[0]}/{name}"
    command, underscore, _ = stage.partition("_teacher")
    return f"{command}/teacher" if underscore else stage
