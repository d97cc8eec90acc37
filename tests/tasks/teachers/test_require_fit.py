"""What does not fit is one line, however large the vocabularies are."""

import pytest

from tasks.teachers.require_fit import difference, require_fit

OURS = ("<blk>", " ", "a", "b")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (("<blk>", " ", "▁the", "b"), "4 found, 4 expected, the first difference at 2: '▁the' for 'a'"),
        (("<blk>", *"xyz" * 999), "2998 found, 4 expected, the first difference at 1: 'x' for ' '"),
        (OURS[:3], "3 found, 4 expected, the first difference at 3: nothing for 'b'"),
        ((*OURS, "c"), "5 found, 4 expected, the first difference at 4: 'c' for nothing"),
        ((), "0 found, 4 expected, the first difference at 0: nothing for '<blk>'"),
    ],
)
def test_of_vocabularies_lengths_and_the_first_difference(found: tuple[str, ...], said: str) -> None:
    assert difference(found, OURS) == said


def test_the_first_that_differs_is_said_with_the_remedy() -> None:
    require_fit("path x", [("its units differ", OURS, OURS)], "Do this")
    pairs = [("its units differ", OURS, OURS), ("its rate differs", 8000, 16000), ("its problem differs", "a", "b")]
    with pytest.raises(ValueError, match=r"^path x: its rate differs: 8000 found, 16000 expected\. Do this$"):
        require_fit("path x", pairs, "Do this")
