"""Tables of tokens that others wrote, and what becomes of them as our units."""

import pytest

from kd.text.token_table import TokenTable, parse_token_table, take_over
from kd.text.vocabulary import BLANK_SYMBOL, Vocabulary

CAPITALS = ("<blk>", "<sos/eos>", "<unk>", "▁TWO", "▁T", "WO", "O", "W", "T", "N", "E", "▁")


def table(*tokens: str) -> TokenTable:
    return parse_token_table("".join(f"{token} {i}\n" for i, token in enumerate(tokens)), "tokens.txt")


def test_lines_in_any_order_and_a_token_that_is_a_space() -> None:
    found = parse_token_table("b 2\r\n  1\r\na\t3\n<blk> 0\n\n", "tokens.txt")
    assert found.tokens_W == ("<blk>", " ", "b", "a")
    assert found.plain_W == ("<blk>", "▁", "b", "a")


@pytest.mark.parametrize(
    ("tokens", "blank"),
    [
        (("<blk>", "a"), 0),
        (("a", "b", "<blk>"), 2),  # NeMo
        (("<blank>", "<unk>", "a"), 0),  # WeNet
        (("<s>", "<pad>", "a"), 0),  # omnilingual
        (("[PAD]", "a"), 0),
        (("<unk>", "a", "<eps>"), 2),
    ],
)
def test_where_the_blank_stands(tokens: tuple[str, ...], blank: int) -> None:
    assert table(*tokens).blank == blank


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a b\n", r"^tokens.txt:1: 'a b' is no line of `token index`"),
        ("<blk> 0\na 0\n", r"^tokens.txt:2: index 0 stands there twice"),
        ("<blk> 0\na 2\n", r"^tokens.txt: no token has the index 1, where 0 to 1 were expected"),
        ("<blk> 0\na 1\na 2\n", r"^tokens.txt: 'a' stands there twice"),
        ("a 0\nb 1\n", r"^tokens.txt: none of its tokens is CTC's blank; expected <blk>, <eps>, <blank>"),
        ("", r"^tokens.txt: no token has the index 0"),
    ],
)
def test_what_is_no_table_is_one_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as found:
        parse_token_table(text, "tokens.txt")
    assert "\n" not in str(found.value)


def test_units_are_the_tokens_with_the_blank_first() -> None:
    assert take_over(table("▁a", "b", "<unk>", "<blk>"), "b ") == (BLANK_SYMBOL, "▁a", "b", "<unk>")


def test_capitals_become_small_where_the_alphabet_is() -> None:
    small = (BLANK_SYMBOL, "<sos/eos>", "<unk>", "▁two", "▁t", "wo", "o", "w", "t", "n", "e", "▁")
    assert take_over(table(*CAPITALS), "twone ") == small
    assert take_over(table(*CAPITALS), "TWONE ") == CAPITALS
    assert take_over(table(*small), "TWONE ") == CAPITALS


def test_a_letter_without_a_token_is_named() -> None:
    with pytest.raises(
        ValueError, match=r"^tokens.txt: no token is 'x', 'é' alone: remove them from problem.units.alph"
    ):
        take_over(table("<blk>", "a", "ax"), "axé ")
    assert take_over(table("<blk>", "a", "<0x00>"), "axé ")[1:] == ("a", "<0x00>"), "bytes write every letter"


def test_words_are_cut_by_the_order_of_the_pieces() -> None:
    """By hand, as merges: of w-o, ▁-t and ▁t-wo the earliest is put together first."""
    first = Vocabulary.taken_over(take_over(table("<blk>", "▁t", "wo", "▁two", *"▁two"), "two "))
    pieces = [first.tokens[unit] for unit in first.encode("two tot")]
    assert pieces == ["▁two", "▁t", "o", "t"]
    second = Vocabulary.taken_over(take_over(table("<blk>", "tw", "▁t", *"▁two"), "two "))
    assert [second.tokens[unit] for unit in second.encode("two")] == ["▁", "tw", "o"]
    assert first.decode(first.encode("two tot")) == second.decode(second.encode("two tot")) == "two tot"


def test_characters_have_a_space_between_words_alone() -> None:
    vocabulary = Vocabulary.taken_over(take_over(table("<pad>", "|", "A", "B"), "ab "))
    assert vocabulary.tokens == (BLANK_SYMBOL, "▁", "a", "b")
    assert vocabulary.encode("ab a") == [2, 3, 1, 2]
    assert vocabulary.decode([2, 3, 1, 0, 2]) == "ab a"


def test_characters_beside_pieces_need_no_space() -> None:
    """As WeNet's tables of Chinese with English words in them."""
    vocabulary = Vocabulary.taken_over(take_over(table("<blank>", "<unk>", "你", "好", "▁ok", "o", "k"), "你好ok "))
    assert [vocabulary.tokens[u] for u in vocabulary.encode("你好 ok")] == ["你", "好", "▁ok"]


def test_bytes_write_what_has_no_piece() -> None:
    vocabulary = Vocabulary.taken_over(take_over(table("<blk>", "a", "<0x00>", "<0xC3>", "<0xA9>"), "aé"))
    assert vocabulary.encode("aé") == [1, 3, 4]
    assert vocabulary.decode([1, 3, 4, 1]) == "aéa"
    with pytest.raises(ValueError, match=r"no token writes 'x': remove it from units.alphabet"):
        vocabulary.encode("x")


def test_words_without_a_token_between_them_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^tokens.txt: no token is or begins with ▁, so words would be joined: remove"
    ):
        take_over(table("<blk>", "a", "b"), "ab ")
    assert take_over(table("<blk>", "你", "好"), "你好")[1:] == ("你", "好")


def test_every_mark_writes_nothing_and_is_no_piece() -> None:
    marks = ("<unk>", "[UNK]", "<sos>", "<eos>", "<noise>", "[PAD]")
    vocabulary = Vocabulary.taken_over(take_over(table("<blk>", *marks, "a", "▁", "<0x62>"), "a "))
    assert vocabulary.decode([1, 7, 2, 3, 8, 7, 4, 9, 5, 6]) == "a ab"


def test_marks_write_nothing() -> None:
    vocabulary = Vocabulary.taken_over(take_over(table(*CAPITALS), "twone "))
    assert vocabulary.decode([1, 3, 2]) == "two"
