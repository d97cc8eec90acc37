"""What stands where a stage is going to write, and no stage made. DVC removes a stage's outputs before it runs it."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from flows.dvc_state.graph import stage_label
from tasks.runner.resume import was_begun

_REMEDY = "`kd run` would remove it. Move it elsewhere, or delete it"


def unsaved_outputs(root: Path, names: Collection[str]) -> list[str]:
    """A line for each output of these stages that holds what neither DVC's cache has nor a killed stage left.

    Metrics and plots that git keeps are left out. What a person puts into the half-written folder of a stage that was
    killed is not told from what that left.
    """
    from dvc.repo import Repo, lock_repo

    with Repo(str(root), _wait_for_lock=True) as repo, lock_repo(repo):
        outs = [
            out
            for stage in repo.index.stages
            if stage.name in names and not was_begun(root, stage_label(stage.name))
            for out in stage.outs
            if out.use_cache
        ]
        return [line for out in outs if (line := _strange(root, out))]


def _strange(root: Path, out: Any) -> str:
    """Why removing an output would lose something; empty where it would not."""
    place = root / out.def_path
    if place.is_symlink() and place.is_dir():
        return f"{place} is a link to a folder, and no stage made it: {_REMEDY}"
    if not place.exists():
        return ""
    lost = sorted(_not_in_cache(out))
    if not lost:
        return ""
    if lost == [()]:
        return f"{place} is there, and no stage made it as it is: {_REMEDY}"
    more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
    return f"{place} holds {'/'.join(lost[0])}{more}, which no stage left so: {_REMEDY}"


def _not_in_cache(out: Any) -> Iterator[tuple[str, ...]]:
    """Files by their path within the output; () for an output that is a file."""
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.tree import Tree

    _, _, found = build(out.cache, out.fs_path, out.fs, out.hash_name, ignore=out.dvcignore, dry_run=True)
    files = [(key, info) for key, _, info in found] if isinstance(found, Tree) else [((), found.hash_info)]
    for key, info in files:
        if not out.cache.exists(info.value):
            yield key
