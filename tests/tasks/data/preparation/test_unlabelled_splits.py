"""Audio without transcripts trains, unless it is of a speaker who validates or tests."""

from tasks.data.corpora.raw import RawUtterance
from tasks.data.preparation.splits import plan_splits
from tasks.params.pipeline import SplitParams


def row(name: str, speaker: str | None, text: str | None = "one", split: str | None = None) -> RawUtterance:
    return RawUtterance(id=name, path="x", text=text, root="", speaker=speaker, split=split)


def test_it_trains_unless_its_speaker_does_not() -> None:
    labelled = [row(f"{s}-{i}", s) for s in ("ann", "bob", "cyd", "dan", "eve") for i in range(4)]
    unlabelled = [row(f"{s}-more", s, None) for s in ("ann", "bob", "cyd", "dan", "eve")]
    unlabelled += [row(f"nobody-{i}", None, " ") for i in range(30)]
    plan = plan_splits([*labelled, *unlabelled], SplitParams(), keep_unlabelled=True)
    where = {u.speaker: plan.split_of(u) for u in labelled}
    assert set(where.values()) == {"train", "valid", "test"}
    for utterance in unlabelled:
        assert plan.split_of(utterance) == where.get(utterance.speaker, "train")
    assert plan.speakers == plan_splits(labelled, SplitParams()).speakers, "it does not move who tests"


def test_a_split_that_is_given_stays() -> None:
    plan = plan_splits(
        [row("a", "ann", None, "test"), row("b", "bob", split="train")], SplitParams(), keep_unlabelled=True
    )
    assert plan.split_of(row("a", "ann", None, "test")) == "test"
