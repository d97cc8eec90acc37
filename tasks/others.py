"""What somebody else's recogniser hears in the test part, as the table that evaluation.others names."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tasks.data import PreparedData
from tasks.fresh import write_whole
from tasks.listeners import LISTENERS
from tasks.listeners.cache import listen_once
from tasks.params.pipeline import Params
from tasks.params.teachers import WhisperTeacher
from tasks.paths import Paths
from tasks.teachers import clip_of
from tasks.watch import Watch


def write_heard(params: Params, settings: WhisperTeacher, paths: Paths, file: Path, watch: Watch) -> int:
    """Let a recogniser hear every test utterance; writes `id,text` and returns the number of rows.

    What it heard before is kept under scratch/heard/, so a stopped pass goes on.
    """
    data = PreparedData.load(paths.prepared, sample_rate_hz=params.frontend.sample_rate_hz)
    utterances = data.split("test")
    listener = LISTENERS[settings.source](settings, paths.root)
    heard = listen_once(listener, [clip_of(data, u, 1.0) for u in utterances], paths.scratch / "heard", watch)
    rows = [{"id": u.id, "text": _one_line(heard[u.id].texts)} for u in utterances]
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, pd.DataFrame(rows).to_csv(index=False))
    return len(rows)


def _one_line(texts: Sequence[tuple[str, float]]) -> str:
    """The best text on one line; empty where nothing was heard."""
    return " ".join(texts[0][0].split()) if texts else ""
