"""Stage `canary NAME`: a general test set, prepared as the corpus's own test part is, to see what was forgotten."""

import json
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from kd.text.vocabulary import Vocabulary
from tasks.data.corpora import CORPORA
from tasks.data.corpora.raw import Place, RawUtterance
from tasks.data.preparation.canary import Candidate, Learnt, chosen_rows, prepare_candidates
from tasks.data.preparation.prepare import Plan, Prepared
from tasks.data.preparation.quarantine import Quarantine, check_share, kept_where_refused
from tasks.data.preparation.schema import check_prepared
from tasks.data.preparation.store import Draft, finish
from tasks.data.utterance import Utterance
from tasks.params.canary import CanaryParams
from tasks.params.pipeline import Params
from tasks.runner.atomic_io import fresh_folder, write_whole
from tasks.runner.parallel import cores, ordered_map
from tasks.runner.paths import Paths
from tasks.runner.reporter import NullReporter, Reporter

_CHUNK = 16  # utterances given to a worker at once


def run(params: Params, paths: Paths, name: str = "", reporter: Reporter = NullReporter()) -> dict[str, float]:
    """Write canary/NAME/: prepared data of the split test, and canary.json.

    Raises ValueError where a speaker or a recording is in the training or validation part too, where too much is bad
    (the table of it is then kept in scratch/), or where nothing is left.
    """
    description = paths.prepared / "prepared.json"
    if not description.is_file():
        raise ValueError(f"{description} is missing: run the stage preprocess first")
    vocabulary = Vocabulary.from_dict(json.loads(description.read_text(encoding="utf-8"))["vocabulary"])
    learnt = Learnt.read(paths.prepared / "utterances.parquet")
    gathered, kept_at = paths.scratch / "canary" / name, paths.scratch / f"canary-{name}-quarantine.csv"
    rows = _gather(params.evaluation.canary[name], paths, gathered, reporter)
    for row in rows:
        learnt.refuse_speaker(row)
    with fresh_folder(paths.canary(name)) as out:
        with kept_where_refused(out / "quarantine.csv", kept_at) as file:
            quarantine = Quarantine(file)
            kept = _prepare(params, paths, rows, learnt, out, quarantine, reporter)
            check_share(quarantine, len(rows), params.preprocess.max_quarantined_share, kept_at)
        write_whole(out / "prepared.json", description.read_bytes())
        facts = _facts(kept, vocabulary, quarantine, params.frontend.sample_rate_hz)
        write_whole(out / "canary.json", json.dumps(facts, indent=1) + "\n")
        check_prepared(out, params.frontend.sample_rate_hz)
    kept_at.unlink(missing_ok=True)
    shutil.rmtree(paths.fetched, ignore_errors=True)
    shutil.rmtree(gathered)
    for line in _remarks(name, facts, quarantine):
        reporter.say(line)
    return {key: float(value) for key, value in facts.items() if not isinstance(value, dict)}


def _gather(canary: CanaryParams, paths: Paths, folder: Path, reporter: Reporter) -> list[RawUtterance]:
    """Rows of its corpus; audio that is made for it lies in `folder`."""
    with fresh_folder(folder) as out:
        place = Place(paths.root, out, reporter, folder.relative_to(paths.root).as_posix())
        rows = chosen_rows(CORPORA[canary.corpus.kind](canary.corpus, place), canary)
    if not rows:
        raise ValueError(
            f"the canary's corpus ({canary.corpus.kind} in {canary.corpus.root}) has no utterance of split "
            f"{canary.split}: choose another split"
        )
    return rows


def _prepare(
    params: Params,
    paths: Paths,
    rows: Sequence[RawUtterance],
    learnt: Learnt,
    out: Path,
    quarantine: Quarantine,
    reporter: Reporter,
) -> list[Utterance]:
    """Write audio and table; gives what is kept."""
    rate_hz = params.frontend.sample_rate_hz
    with Draft(out, rate_hz) as draft:
        for candidate in reporter.progress(_candidates(params, paths, rows), len(rows), "preparing"):
            learnt.refuse_recording(candidate)
            outcome = candidate.outcome
            bad = draft.add(outcome) if isinstance(outcome, Prepared) else outcome
            if bad is not None:
                quarantine.add(bad)
    kept = list(finish(out, rate_hz, lambda row: None, quarantine.add))
    if not kept:
        raise ValueError(
            f"no utterance of the canary is left. In quarantine: {quarantine.summary}. Mend its corpus, or name another"
        )
    return kept


def _candidates(params: Params, paths: Paths, rows: Sequence[RawUtterance]) -> Iterator[Candidate]:
    workers = params.preprocess.workers or cores()
    work = partial(prepare_candidates, plan=Plan.of(params, paths.root))
    chunks = (list(rows[start : start + _CHUNK]) for start in range(0, len(rows), _CHUNK))
    done = map(work, chunks) if workers == 1 else ordered_map(work, chunks, workers=workers)
    return (candidate for chunk in done for candidate in chunk)


def _facts(kept: Sequence[Utterance], vocabulary: Vocabulary, quarantine: Quarantine, rate_hz: int) -> dict[str, Any]:
    """unwritable: references with something that no unit writes, which stay and count as errors."""
    return {
        "utterances": len(kept),
        "hours": round(sum(row.num_samples for row in kept) / rate_hz / 3600, 4),
        "speakers": len({row.speaker for row in kept if row.speaker is not None}),
        "unnamed": sum(row.speaker is None for row in kept),
        "unwritable": sum(not _is_writable(row.text, vocabulary) for row in kept),
        "quarantined": sum(quarantine.counts.values()),
        "reasons": dict(sorted(quarantine.counts.items())),
    }


def _is_writable(text: str, vocabulary: Vocabulary) -> bool:
    try:
        vocabulary.encode(text)
    except ValueError:
        return False
    return True


def _remarks(name: str, facts: dict[str, Any], quarantine: Quarantine) -> Iterator[str]:
    yield f"canary {name}: {facts['utterances']} utterances of {facts['speakers']} speakers"
    yield f"quarantine: {quarantine.summary}"
    if facts["unwritable"]:
        yield f"{facts['unwritable']} references hold what no unit writes: they stay, and count as errors"
    if facts["unnamed"]:
        yield f"warning: {facts['unnamed']} utterances name no speaker: of them only recordings could be compared"
