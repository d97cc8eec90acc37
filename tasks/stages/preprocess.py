"""Stage `preprocess`: recordings of any kind to one flat file of samples; what is bad, to quarantine."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

from kd.stats.limits import limit_of
from kd.text.vocabulary import Vocabulary
from tasks.data.corpora.raw import SPLITS, RawUtterance, count_raw, read_raw
from tasks.data.preparation.account import Account
from tasks.data.preparation.card import Card, write_card
from tasks.data.preparation.classes import Classes
from tasks.data.preparation.prepare import Plan, prepare_all
from tasks.data.preparation.quarantine import Quarantine, Quarantined, Reason, RejectedError, kept_where_refused
from tasks.data.preparation.schema import check_prepared
from tasks.data.preparation.splits import SplitPlan, plan_splits
from tasks.data.preparation.store import Draft, finish, read_stored
from tasks.data.preparation.text import check_alignable
from tasks.data.preparation.vocabulary import build_vocabulary
from tasks.data.utterance import Utterance
from tasks.params.pipeline import Params
from tasks.params.writing import writing_of
from tasks.runner.atomic_io import fresh_folder, write_whole
from tasks.runner.parallel import cores, ordered_map
from tasks.runner.paths import Paths
from tasks.runner.reporter import NullReporter, Reporter

_CHUNK = 16  # utterances given to a worker at once
CONFIDENCE = 0.95  # for the remark on the test part alone: evaluation.confidence is no parameter of this stage


def run(params: Params, paths: Paths, name: str = "", reporter: Reporter = NullReporter()) -> dict[str, float]:
    """Write data/prepared/. Raises ValueError where too much is bad, a split is left empty, or a class is lost.

    Where it raises, the quarantine table is kept as scratch/quarantine.csv.
    """
    raw = paths.raw / "utterances.parquet"
    if not raw.is_file():
        raise ValueError(f"{raw} is missing: run the stage corpus first")
    keep = params.preprocess.unlabelled == "keep"
    plan = plan_splits(read_raw(raw), params.preprocess.splits, keep_unlabelled=keep)
    for remark in plan.remarks:
        reporter.say(remark)
    kept_at = paths.scratch / "quarantine.csv"
    keyword = params.problem.kind == "keyword"
    most = params.preprocess.max_quarantined_share
    with fresh_folder(paths.prepared) as out:
        with kept_where_refused(out / "quarantine.csv", kept_at) as file:
            card = Card(keyword, params.frontend.sample_rate_hz)
            account = Account(Quarantine(file), card, Classes(writing_of(params)) if keyword else None)
            _first_pass(params, paths, raw, plan, out, account, reporter)
            account.check(count_raw(raw), most, kept_at)
            vocabulary = _second_pass(params, paths.root / params.corpus.root, out, account)
            for remark in account.remarks():
                reporter.say(remark)
            account.check(count_raw(raw), most, kept_at)
            _check_splits(account.card, account.quarantine, kept_at)
        facts = {"sample_rate_hz": params.frontend.sample_rate_hz, "vocabulary": vocabulary.to_dict()}
        write_whole(out / "prepared.json", json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
        check_prepared(out, params.frontend.sample_rate_hz)
        write_card(out, account.card, account.quarantine.counts, account.facts())
    kept_at.unlink(missing_ok=True)
    shutil.rmtree(paths.fetched, ignore_errors=True)
    if limit := limit_of(account.card.blocks("test"), CONFIDENCE):
        reporter.say(limit)
    return _metrics(account.card, account.quarantine, vocabulary)


def _first_pass(
    params: Params, paths: Paths, raw: Path, plan: SplitPlan, out: Path, account: Account, reporter: Reporter
) -> None:
    """Decode and check each utterance for itself; append it to the draft."""
    workers = params.preprocess.workers or cores()
    work = partial(prepare_all, plan=Plan.of(params, paths.root))
    chunks = _chunks(reporter.progress(read_raw(raw), count_raw(raw), "preparing"), plan, account)
    prepared = map(work, chunks) if workers == 1 else ordered_map(work, chunks, workers=workers)
    with Draft(out, params.frontend.sample_rate_hz) as draft:
        for outcome in (outcome for chunk in prepared for outcome in chunk):
            if isinstance(outcome, Quarantined):
                account.put_aside(outcome)
            elif bad := draft.add(outcome):
                account.put_aside(bad)
            else:
                account.add(outcome)


def _chunks(rows: Iterator[RawUtterance], plan: SplitPlan, account: Account) -> Iterator[list[RawUtterance]]:
    placed = (account.give(replace(row, split=plan.split_of(row))) for row in rows)
    while chunk := list(islice(placed, _CHUNK)):
        yield chunk


def _second_pass(params: Params, corpus: Path, out: Path, account: Account) -> Vocabulary:
    """Check what depends on the training part: its vocabulary, and whether transcripts align."""
    draft = out / "draft.parquet"
    vocabulary = build_vocabulary(params.problem, _training_texts(draft), corpus)

    def check(row: Utterance) -> None:
        if not row.text or row.split == "test":  # every test utterance counts, whatever a model can make of it
            return
        if vocabulary.kind != "labels":
            check_alignable(row.text, row.num_samples, vocabulary, params.frontend, params.preprocess.frame_ms)
        elif row.text not in vocabulary.tokens:
            raise RejectedError(Reason.LABEL_NOT_IN_TRAINING, f"no training utterance has the label {row.text!r}")

    for row in finish(out, params.frontend.sample_rate_hz, check, account.put_aside):
        account.keep(row)
    return vocabulary


def _training_texts(draft: Path) -> Iterator[str]:
    return (row.text for row in read_stored(draft) if row.split == "train" and row.text)


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
