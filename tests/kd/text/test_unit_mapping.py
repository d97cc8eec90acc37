"""Another recogniser's tokens as our units; characters of torchaudio's bundles: tests/kd/teachers."""

import pytest

from kd.text.token_table import parse_token_table
from kd.text.unit_mapping import NOWHERE, map_tokens


def places(theirs: str, ours: tuple[str, ...]) -> tuple[int, ...]:
    text = "".join(f"{token} {i}\n" for i, token in enumerate(theirs.split()))
    return map_tokens(parse_token_table(text, "tokens.txt"), ours).places_W


def test_by_hand() -> None:
    assert places("▁the a <blk>", ("<blk>", "a", "▁the")) == (2, 1, 0), "NeMo's blank is its last"
    assert places("<pad> | E T", ("<blk>", "t", "e", " ")) == (0, 3, 2, 1), "the other case, a bar for a space"
    assert places("<blk> <unk> a ▁", ("<blk>", " ", "a")) == (0, NOWHERE, 2, 1), "marks are no units of ours"
    assert places("<blk> <unk> a", ("<blk>", "<unk>", "a")) == (0, 1, 2), "but where they were taken over"


@pytest.mark.parametrize(
    ("theirs", "ours", "message"),
    [
        ("<blk> ▁the a b", ("<blk>", "a", "b"), r"^it writes pieces of words such as '▁the', of which 1 are no units"),
        ("<blk> a b", ("<blk>", "a", "c", " "), r"^it never says 'c', '▁', of which we have a unit"),
    ],
)
def test_what_does_not_fit_is_named_with_the_remedy(theirs: str, ours: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message) as found:
        places(theirs, ours)
    assert "problem.units: {kind: tokens, file: …}" in str(found.value)
