"""How long stages took: untracked, for estimates of the time left and for the overhead benchmark."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Timing:
    """stage: such as distil/baseline; started_s: seconds since 1970; seconds: of its run() alone."""

    stage: str
    started_s: float
    seconds: float


def add_timing(root: Path, timing: Timing) -> None:
    file = _file(root)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(asdict(timing)) + "\n")


def read_timings(root: Path) -> list[Timing]:
    """All timings, oldest first."""
    if not _file(root).is_file():
        return []
    lines = _file(root).read_text(encoding="utf-8").splitlines()
    return [Timing(**json.loads(line)) for line in lines if line.endswith("}")]


def _file(root: Path) -> Path:
    return root / "scratch" / "timings.jsonl"
