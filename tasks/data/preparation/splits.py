"""Which part an utterance belongs to, where the corpus does not say: by speaker, so that none is in two."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256

from tasks.data.corpora.raw import RawUtterance, Split
from tasks.params.pipeline import SplitParams


@dataclass(frozen=True)
class SplitPlan:
    """`split_of` gives every utterance its part; `remarks` are lines for the log.

    unlabelled_trains: audio without a transcript trains, unless it is of a speaker who does not.
    """

    speakers: Mapping[str, Split]
    shares: Mapping[Split, float]
    carve_train: bool
    seed: int
    remarks: tuple[str, ...] = ()
    unlabelled_trains: bool = False

    def split_of(self, row: RawUtterance) -> Split:
        """The given part, or the speaker's, or one drawn by the utterance's id."""
        if row.split is not None and not (row.split == "train" and self.carve_train):
            return row.split
        if row.speaker is not None and row.speaker in self.speakers:
            return self.speakers[row.speaker]
        if self.unlabelled_trains and not row.is_labelled:
            return "train"
        drawn = int(_digest(self.seed, row.id)[:13], 16) / 16**13
        for split, share in self.shares.items():
            if drawn < share:
                return split
            drawn -= share
        return "train"


def plan_splits(rows: Iterable[RawUtterance], params: SplitParams, *, keep_unlabelled: bool = False) -> SplitPlan:
    """One pass over the corpus; memory grows with its speakers, not with its utterances.

    Parts that the corpus names are kept. Where valid or test is missing, it is taken from the utterances
    without a part, or else from the training part, by whole speakers in an order drawn by the seed.
    keep_unlabelled: audio without a transcript is for training, and takes no part in this.
    """
    rows = (row for row in rows if row.is_labelled or not keep_unlabelled)
    counts: Counter[tuple[str | None, Split | None]] = Counter((row.speaker, row.split) for row in rows)
    given = {split for _, split in counts if split is not None}
    missing: list[Split] = [split for split in ("test", "valid") if split not in given]
    carve_train = bool(missing) and None not in {split for _, split in counts}
    # speakers of whom some utterances have a part: their others go there too
    fixed = {} if carve_train else {s: split for s, split in counts if s is not None and split is not None}
    source = "train" if carve_train else None
    free = {s: n for (s, split), n in counts.items() if split == source and s is not None and s not in fixed}
    wanted = {"test": params.test_share, "valid": params.valid_share}
    shares = {split: wanted[split] for split in missing}
    by_speaker = bool(missing) and len(free) > len(missing)
    dealt = _deal(free, shares, params.seed) if by_speaker else {}
    remarks = tuple(_remarks(counts, missing, carve_train, by_speaker))
    return SplitPlan({**dealt, **fixed}, shares, carve_train, params.seed, remarks, keep_unlabelled)


def _deal(speakers: Mapping[str, int], shares: Mapping[Split, float], seed: int) -> dict[str, Split]:
    """Whole speakers to each part until it is as near its share as it gets; at least one. The rest trains."""
    order = sorted(speakers, key=lambda speaker: _digest(seed, speaker))
    total = sum(speakers.values())
    dealt: dict[str, Split] = {}
    for still_to_serve, (split, share) in zip(reversed(range(len(shares))), shares.items(), strict=True):
        taken, wanted = 0, share * total
        while len(order) > still_to_serve + 1:
            more = speakers[order[0]]
            if taken and abs(taken + more - wanted) > abs(taken - wanted):
                break
            taken += more
            dealt[order.pop(0)] = split
    return {**dealt, **dict.fromkeys(order, "train")}


def _remarks(
    counts: Mapping[tuple[str | None, Split | None], int], missing: list[Split], carve_train: bool, by_speaker: bool
) -> Iterator[str]:
    if missing:
        source = "the training part" if carve_train else "the utterances without a part"
        how = "by speaker" if by_speaker else "by utterance"
        yield f"{' and '.join(missing)} taken from {source}, {how}"
        if not by_speaker:
            yield "warning: too few speakers are known to divide by them: the same voice may train and test"
        elif any(speaker is None for speaker, _ in counts):
            yield "warning: some utterances name no speaker: each is divided for itself"
    shared = [s for s, n in Counter(s for s, split in counts if s is not None and split is not None).items() if n > 1]
    if shared:
        yield f"warning: the corpus itself puts {len(shared)} speakers into more than one part"


def _digest(seed: int, name: str) -> str:
    return sha256(f"{seed}:{name}".encode()).hexdigest()
