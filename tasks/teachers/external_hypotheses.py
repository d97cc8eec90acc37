"""An external recogniser's transcripts of the test part, as the table that evaluation.external names.

`python -m tasks.teachers.external_hypotheses OUT SETTINGS`, the second a WhisperTeacher as JSON.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tasks.data.prepared import PreparedData
from tasks.params.load import load_params
from tasks.params.pipeline import Params
from tasks.params.teachers import WhisperTeacher
from tasks.runner.atomic_io import write_whole
from tasks.runner.paths import Paths
from tasks.runner.progress import TerminalReporter
from tasks.runner.reporter import Reporter
from tasks.teachers.pseudo_labels import clip_of
from tasks.teachers.transcribers import TRANSCRIBERS
from tasks.teachers.transcribers.cache import transcribe_once


def write_hypotheses(params: Params, settings: WhisperTeacher, paths: Paths, file: Path, reporter: Reporter) -> int:
    """Transcribe every test utterance; writes `id,text` and returns the number of rows.

    Transcripts made before are kept under scratch/pseudo_labels/, so a stopped pass goes on.
    """
    data = PreparedData.load(paths.prepared, sample_rate_hz=params.frontend.sample_rate_hz)
    utterances = data.split("test")
    transcriber = TRANSCRIBERS[settings.source](settings, paths.root)
    outputs = transcribe_once(
        transcriber, [clip_of(data, u, 1.0) for u in utterances], paths.scratch / "pseudo_labels", reporter
    )
    rows = [{"id": u.id, "text": _one_line(outputs[u.id].texts)} for u in utterances]
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, pd.DataFrame(rows).to_csv(index=False))
    return len(rows)


def _one_line(texts: Sequence[tuple[str, float]]) -> str:
    """The best text on one line; empty where nothing was recognised."""
    return " ".join(texts[0][0].split()) if texts else ""


def main(out: str, settings: str) -> int:
    """Exit code: 0 done, 1 with a line on standard error where the recogniser cannot be used."""
    paths = Paths()
    try:
        rows = write_hypotheses(
            load_params(paths.params),
            WhisperTeacher.model_validate_json(settings),
            paths,
            Path(out),
            TerminalReporter(),
        )
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    print(
        f"{out}: {rows} utterances. Now set evaluation.external: {{{Path(out).stem}: {{source: table, path: {out}}}}}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
