"""How long a run still takes: from how long its stages took before, and how far they say they are."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean

from flows.graph import Graph
from tasks.runner.stage_durations import read_timings

START_UP_S = 4.0
"""DVC, Python and torch for each stage, besides its run()."""


def expected_seconds(root: Path, stages: Iterable[str]) -> dict[str, float]:
    """Expected seconds of those stages that ran before, or whose likes did (distil@a tells about distil@b)."""
    by_stage: dict[str, float] = {}
    by_kind: dict[str, list[float]] = {}
    for timing in read_timings(root):
        by_stage[timing.stage] = timing.seconds
        by_kind.setdefault(timing.stage.partition("/")[0], []).append(timing.seconds)
    expected = {}
    for stage in stages:
        event_name = stage_label(stage)
        likes = by_kind.get(event_name.partition("/")[0])
        if event_name in by_stage:
            expected[stage] = by_stage[event_name] + START_UP_S
        elif likes:
            expected[stage] = fmean(likes) + START_UP_S
    return expected


def with_progress(
    expected: Mapping[str, float], running: Mapping[str, float], own_left: Mapping[str, float], stages: Iterable[str]
) -> dict[str, float]:
    """Expected seconds, corrected by what stages under way say themselves; unknown stages get those of their likes.

    running: stage to the seconds it has run for; own_left: stage to the seconds it still needs by its own count.
    """
    told = {stage: running[stage] + left_s for stage, left_s in own_left.items() if stage in running}
    by_kind: dict[str, list[float]] = {}
    for stage, seconds in told.items():
        by_kind.setdefault(stage.partition("@")[0], []).append(seconds)
    kinds = {stage: stage.partition("@")[0] for stage in stages}
    likes = {stage: fmean(by_kind[kind]) for stage, kind in kinds.items() if kind in by_kind}
    return {**likes, **expected, **told}


def stage_label(stage: str) -> str:
    """DVC's name of a stage as MLflow and the harness write it, with a slash.

    distil@baseline becomes distil/baseline, export_teacher export/teacher, cache_logits_of_teachers@a cache_logits/a.
    """
    kind, at, name = stage.partition("@")
    if at:
        return f"{kind.partition('_of_')[0]}/{name}"
    command, underscore, _ = stage.partition("_teacher")
    return f"{command}/teacher" if underscore else stage


def seconds_left(
    graph: Graph, expected: Mapping[str, float], waiting: Iterable[str], running: Mapping[str, float], jobs: int
) -> float | None:
    """Seconds until all end, `jobs` at a time in the graph's order; None where no stage's time is known.

    running: stage to the seconds it has run for. Stages of unknown time count nothing: it takes at least so long.
    """
    todo = [*running, *(name for name in graph.nodes if name in set(waiting))]
    if todo and not any(name in expected for name in todo):
        return None
    ends = {name: max(expected.get(name, 0.0) - gone_s, 1.0) for name, gone_s in running.items()}
    free = sorted([*ends.values(), *[0.0] * max(jobs - len(ends), 0)])
    for name in todo[len(running) :]:
        ready = max((ends[before] for before in graph.wait_for(name, todo) if before in ends), default=0.0)
        start = max(ready, free.pop(0))
        ends[name] = start + expected.get(name, 0.0)
        free = sorted([*free, ends[name]])
    return max(ends.values(), default=0.0)
