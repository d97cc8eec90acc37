"""Parts by speaker: none in two, none empty, and what the corpus says is kept."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tasks.data.corpora.raw import RawUtterance, Split
from tasks.data.preparation.splits import plan_splits
from tasks.params.pipeline import SplitParams

PARAMS = SplitParams()


def rows_of(speakers: list[int], split: Split | None = None, name: str = "s") -> list[RawUtterance]:
    """`speakers[i]` utterances of speaker i."""
    return [
        RawUtterance(id=f"{name}{s}-{i}", path="x", text="x", root="", speaker=f"{name}{s}", split=split)
        for s, count in enumerate(speakers)
        for i in range(count)
    ]


def assign(rows: list[RawUtterance], params: SplitParams = PARAMS) -> tuple[dict[str, str], tuple[str, ...]]:
    plan = plan_splits(rows, params)
    return {row.id: plan.split_of(row) for row in rows}, plan.remarks


def parts_of_speakers(rows: list[RawUtterance], parts: dict[str, str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in rows:
        assert row.speaker is not None
        found.setdefault(row.speaker, set()).add(parts[row.id])
    return found


@given(st.lists(st.integers(1, 30), min_size=3, max_size=20), st.integers(0, 1000))
def test_no_speaker_is_in_two_parts_and_no_part_is_empty(speakers, seed):
    rows = rows_of(speakers)
    parts, _ = assign(rows, SplitParams(seed=seed))
    assert all(len(found) == 1 for found in parts_of_speakers(rows, parts).values())
    assert set(parts.values()) == {"train", "valid", "test"}


def test_shares_are_met_where_speakers_allow():
    rows = rows_of([10] * 100)
    counts = Counter(assign(rows)[0].values())
    assert counts == {"train": 700, "valid": 100, "test": 200}


def test_the_seed_decides_who_goes_where_and_order_does_not():
    rows = rows_of([5] * 30)
    assert assign(rows)[0] == assign(rows[::-1])[0]
    assert assign(rows)[0] != assign(rows, SplitParams(seed=2))[0]


def test_given_parts_are_kept_and_valid_is_taken_from_training_speakers():
    train, test = rows_of([4] * 20, "train"), rows_of([4] * 5, "test", "t")
    parts, remarks = assign(train + test)
    assert all(parts[row.id] == "test" for row in test)
    found = parts_of_speakers(train, parts)
    assert all(len(parts_found) == 1 for parts_found in found.values())
    assert Counter(parts[row.id] for row in train) == {"train": 72, "valid": 8}
    assert remarks == ("valid taken from the training part, by speaker",)


def test_whole_given_splits_are_left_alone():
    rows = [*rows_of([2] * 3, "train", "a"), *rows_of([2], "valid", "b"), *rows_of([2], "test", "c")]
    parts, remarks = assign(rows)
    assert parts == {row.id: row.split for row in rows}
    assert remarks == ()


def test_a_speaker_with_a_part_takes_the_other_utterances_along():
    named = rows_of([1], "test")
    parts, _ = assign(named + [*rows_of([3])][1:] + rows_of([3] * 10, None, "o"))
    assert {part for name, part in parts.items() if name.startswith("s0")} == {"test"}


def test_without_speakers_it_divides_by_utterance_and_warns():
    rows = [RawUtterance(id=f"u{i}", path="x", text="x", root="") for i in range(2000)]
    parts, remarks = assign(rows)
    counts = Counter(parts.values())
    assert abs(counts["test"] - 400) < 60
    assert abs(counts["valid"] - 200) < 60
    assert "warning" in remarks[-1]


def test_shared_speakers_of_the_corpus_itself_are_told():
    rows = [*rows_of([2], "train"), *rows_of([2], "valid"), *rows_of([2], "test", "t")]
    assert "puts 1 speakers into more than one part" in assign(rows)[1][0]
