"""Stage `preprocess`: recordings of any kind to one flat file of samples; what is bad, to quarantine."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

from kd.stats.limits import limit_of
from kd.text import Vocabulary
from tasks.corpora.raw import SPLITS, RawUtterance, count_raw, read_raw
from tasks.fresh import fresh_folder
from tasks.parallel import cores, ordered_map
from tasks.params.pipeline import Params
from tasks.paths import Paths
from tasks.preparation.card import Card, write_card
from tasks.preparation.prepare import Plan, prepare_all
from tasks.preparation.quarantine import Quarantine, Quarantined, Reason, RejectedError, check_share
from tasks.preparation.schema import check_prepared
from tasks.preparation.splits import SplitPlan, plan_splits
from tasks.preparation.store import Draft, StoredUtterance, finish, read_stored
from tasks.preparation.text import check_alignable
from tasks.preparation.vocabulary import build_vocabulary
from tasks.watch import Silent, Watch

_CHUNK = 16  # utterances given to a worker at once
CONFIDENCE = 0.95  # for the remark on the test part alone: evaluation.confidence is no parameter of this stage


def run(params: Params, paths: Paths, name: str = "", watch: Watch = Silent()) -> dict[str, float]:
    """Write data/prepared/. Raises ValueError where too much is bad, or a split is left empty.

    Where it raises, the quarantine table is kept as scratch/quarantine.csv.
    """
    raw = paths.raw / "utterances.parquet"
    if not raw.is_file():
        raise ValueError(f"{raw} is missing: run the stage corpus first")
    keep = params.preprocess.unlabelled == "keep"
    plan = plan_splits(read_raw(raw), params.preprocess.splits, keep_unlabelled=keep)
    for remark in plan.remarks:
        watch.say(remark)
    kept_at = paths.scratch / "quarantine.csv"
    card = Card(keyword=params.problem.kind == "keyword")
    with fresh_folder(paths.prepared) as out:
        with (out / "quarantine.csv").open("w", encoding="utf-8", newline="") as file:
            quarantine = Quarantine(file)
            _first_pass(params, paths, raw, plan, out, quarantine, watch)
            vocabulary = _second_pass(params, out, quarantine, card)
        watch.say(f"quarantine: {quarantine.summary}")
        try:
            check_share(quarantine, count_raw(raw), params.preprocess.max_quarantined_share, kept_at)
            _check_splits(card, quarantine, kept_at)
        except ValueError:
            kept_at.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(out / "quarantine.csv", kept_at)
            raise
        facts = {"sample_rate_hz": params.frontend.sample_rate_hz, "vocabulary": vocabulary.to_dict()}
        (out / "prepared.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        check_prepared(out, params.frontend.sample_rate_hz)
        write_card(out, card, quarantine.counts)
    kept_at.unlink(missing_ok=True)
    if limit := limit_of(card.blocks("test"), CONFIDENCE):
        watch.say(limit)
    return _metrics(card, quarantine, vocabulary)


def _first_pass(
    params: Params, paths: Paths, raw: Path, plan: SplitPlan, out: Path, quarantine: Quarantine, watch: Watch
) -> None:
    """Decode and check each utterance for itself; append it to the draft."""
    workers = params.preprocess.workers or cores()
    work = partial(prepare_all, plan=Plan.of(params, paths.root))
    chunks = _chunks(watch.progress(read_raw(raw), count_raw(raw), "preparing"), plan)
    prepared = map(work, chunks) if workers == 1 else ordered_map(work, chunks, workers=workers)
    with Draft(out, params.frontend.sample_rate_hz) as draft:
        for outcome in (outcome for chunk in prepared for outcome in chunk):
            bad = outcome if isinstance(outcome, Quarantined) else draft.add(outcome)
            if bad is not None:
                quarantine.add(bad)


def _chunks(rows: Iterator[RawUtterance], plan: SplitPlan) -> Iterator[list[RawUtterance]]:
    placed = (replace(row, split=plan.split_of(row)) for row in rows)
    while chunk := list(islice(placed, _CHUNK)):
        yield chunk


def _second_pass(params: Params, out: Path, quarantine: Quarantine, card: Card) -> Vocabulary:
    """Check what depends on the training part: its vocabulary, and whether transcripts align."""
    draft = out / "draft.parquet"
    vocabulary = build_vocabulary(params.problem, _training_texts(draft))

    def check(row: StoredUtterance) -> None:
        if row.text is None or row.split == "test":  # every test utterance counts, whatever a model can make of it
            return
        if vocabulary.kind != "labels":
            check_alignable(row.text, row.num_samples, vocabulary, params.frontend, params.frame_ms)
        elif row.text not in vocabulary.tokens:
            raise RejectedError(Reason.LABEL_NOT_IN_TRAINING, f"no training utterance has the label {row.text!r}")

    for row in finish(out, check, quarantine.add):
        card.add(row)
    return vocabulary


def _training_texts(draft: Path) -> Iterator[str]:
    return (row.text for row in read_stored(draft) if row.split == "train" and row.text is not None)


def _check_splits(card: Card, quarantine: Quarantine, kept_at: Path) -> None:
    empty = [split for split in SPLITS if card.parts[split].utterances == 0]
    if empty:
        raise ValueError(
            f"no utterance is left for {' and '.join(empty)}. In quarantine: {quarantine.summary} ({kept_at}). "
            "Each of train, valid and test needs some: check the corpus's splits, or preprocess.splits"
        )


def _metrics(card: Card, quarantine: Quarantine, vocabulary: Vocabulary) -> dict[str, float]:
    facts = card.facts(quarantine.counts)
    return {
        "utterances": float(facts["utterances"]),
        "hours": facts["hours"],
        "speakers": float(facts["speakers"]),
        "units": float(len(vocabulary)),
        "quarantined": float(sum(quarantine.counts.values())),
        **{f"quarantined_{reason}": float(count) for reason, count in sorted(quarantine.counts.items())},
    }
