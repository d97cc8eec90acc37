"""Utterances of a canary, prepared as test audio is, and what they must not share with the parts models learn from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Self

from tasks.data.corpora.raw import RawUtterance
from tasks.data.preparation.prepare import Plan, Prepared, prepare
from tasks.data.preparation.quarantine import Quarantined
from tasks.data.preparation.store import read_stored
from tasks.data.utterance import Utterance
from tasks.params.canary import CanaryParams

LEARNT_FROM = {"train": "the training part", "valid": "the validation part"}


@dataclass(frozen=True)
class Candidate:
    """An utterance as it was recorded; and the hashes that its audio has where it is prepared for training."""

    outcome: Prepared | Quarantined
    as_learnt: tuple[str, ...]


def chosen_rows(rows: Iterable[RawUtterance], canary: CanaryParams) -> list[RawUtterance]:
    """A canary's rows: those of its split, in their order; of too many, `limit`, which depend on their ids alone."""
    found = [replace(row, split="test") for row in rows if row.split in (None, canary.split)]
    if canary.limit is None or len(found) <= canary.limit:
        return found
    drawn = {row.id for row in sorted(found, key=lambda row: (_drawn(row.id), row.id))[: canary.limit]}
    return [row for row in found if row.id in drawn]


def prepare_candidates(rows: list[RawUtterance], plan: Plan) -> list[Candidate]:
    """In the order of the rows, which are of the test part."""
    return [Candidate(prepare(row, plan)[0], _as_learnt(row, plan)) for row in rows]


def _as_learnt(row: RawUtterance, plan: Plan) -> tuple[str, ...]:
    """Hashes of its trimmed and levelled audio, whatever its transcript; none where training would put it aside."""
    keeping = replace(plan, settings=plan.settings.model_copy(update={"unlabelled": "keep"}))
    outcomes = prepare(replace(row, split="train", text=""), keeping)
    return tuple(outcome.utterance.audio_hash for outcome in outcomes if isinstance(outcome, Prepared))


@dataclass(frozen=True)
class Learnt:
    """One utterance of each speaker, and of each recording, that models are trained on or chosen by."""

    by_speaker: Mapping[str, Utterance]
    by_audio: Mapping[str, Utterance]

    @classmethod
    def read(cls, table: Path) -> Self:
        """From the table of prepared utterances."""
        rows = [row for row in read_stored(table) if row.split in LEARNT_FROM]
        return cls({row.speaker: row for row in rows if row.speaker is not None}, {row.audio_hash: row for row in rows})

    def refuse_speaker(self, row: RawUtterance) -> None:
        """Raises ValueError, in one line, where its speaker is among them."""
        if row.speaker is not None and (known := self.by_speaker.get(row.speaker)):
            raise ValueError(
                f"utterance {row.id} of the canary is of speaker '{row.speaker}', of whom {LEARNT_FROM[known.split]} "
                f"has utterance {known.id}. Leave the speaker out of one of them; if they are two, rename one"
            )

    def refuse_recording(self, candidate: Candidate) -> None:
        """Raises ValueError, in one line, where its audio is among them."""
        known = next((self.by_audio[audio] for audio in candidate.as_learnt if audio in self.by_audio), None)
        if known is not None:
            own = candidate.outcome.utterance if isinstance(candidate.outcome, Prepared) else candidate.outcome
            raise ValueError(
                f"utterance {own.id} of the canary is the same recording as utterance {known.id} of "
                f"{LEARNT_FROM[known.split]}. Leave it out of one of them"
            )


def _drawn(name: str) -> str:
    return sha256(name.encode()).hexdigest()
