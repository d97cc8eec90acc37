"""Which utterances a model is trained on, and of which of them it sees the transcript."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from tasks.data.prepared import PreparedData, Utterance


def select_utterances(data: PreparedData, supervision: Mapping[str, str] | None) -> tuple[Utterance, ...]:
    """The training part as `supervision` says (null: all of it, as it is); an unseen transcript is empty."""
    utterances = data.split("train")
    if supervision is None:
        return utterances
    chosen = [u for u in utterances if u.part in supervision]
    if not chosen:
        none = f"no training utterance is of {', '.join(supervision)}"
        raise ValueError(f"{none}. Run the stages corpus and preprocess again")
    return tuple(u if supervision[u.part] == "labelled" else replace(u, text="", units=()) for u in chosen)


def labelled(utterances: Sequence[Utterance], why: str) -> tuple[Utterance, ...]:
    """Utterances with a transcript. Raises ValueError if there are none; `why` says who needs them."""
    chosen = tuple(u for u in utterances if u.units)
    if not chosen:
        raise ValueError(
            f"{why}: none of its {len(utterances)} training utterances has a transcript. Add transcripts, or name "
            "under supervision a part that has some as labelled"
        )
    return chosen


def teachable(
    utterances: Sequence[Utterance], *, by_labels: bool, by_teacher: Callable[[Utterance], bool]
) -> tuple[Utterance, ...]:
    """Utterances from which something can be learnt: a label, where labels count, or a teacher's output. Raises
    ValueError if there are none."""
    chosen = tuple(u for u in utterances if by_teacher(u) or (by_labels and u.units))
    if not chosen:
        raise ValueError(
            f"none of {len(utterances)} utterances has a label or a pseudo-label that a filter kept: add transcripts, "
            "or loosen the filter"
        )
    return chosen
