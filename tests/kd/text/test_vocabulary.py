"""Vocabularies: text to units and back, and the frames that units need."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd.text.vocabulary import BLANK_SYMBOL, Vocabulary, frames_needed
from tasks.data.preparation.vocabulary import train_sentencepiece
from tasks.params.pipeline import SentencePieceUnits

ALPHABET = "abc '"
TEXTS = ["abba", "a cab", "bac", "abc abc", "cab'a", "ba ba ba", "cc b", "a'b"]


@pytest.fixture(scope="module")
def pieces() -> Vocabulary:
    units = SentencePieceUnits(kind="sentencepiece", size=12, alphabet=ALPHABET)
    return Vocabulary.sentencepiece(train_sentencepiece(TEXTS, units))


def test_characters_by_hand() -> None:
    vocabulary = Vocabulary.characters("ab ba")
    assert vocabulary.tokens == (BLANK_SYMBOL, "a", "b", " ")
    assert vocabulary.encode("ba a") == [2, 1, 3, 1]
    assert vocabulary.decode([0, 2, 2, 0, 1]) == "bba", "blanks are skipped, repeats kept"
    assert len(vocabulary) == 4


def test_labels_by_hand() -> None:
    vocabulary = Vocabulary.labels(["yes", "no", "turn on", "no"])
    assert vocabulary.tokens == ("no", "turn on", "yes")
    assert vocabulary.encode("turn on") == [1]
    assert vocabulary.decode([1]) == "turn on"


@given(st.text(ALPHABET))
def test_characters_there_and_back(text: str) -> None:
    vocabulary = Vocabulary.characters(ALPHABET)
    units = vocabulary.encode(text)
    assert 0 not in units
    assert vocabulary.decode(units) == text


@pytest.mark.parametrize("text", [*TEXTS, "bcacb", "c", ""])
def test_pieces_there_and_back(pieces: Vocabulary, text: str) -> None:
    units = pieces.encode(text)
    assert all(1 <= unit < len(pieces) for unit in units)
    assert pieces.decode([0, *units, 0]) == text
    assert "".join(pieces.tokens[u] for u in units).replace("▁", " ").strip() == text


def test_every_kind_survives_its_file(pieces: Vocabulary) -> None:
    taken = Vocabulary.taken_over(("<blk>", "▁a", "▁", *"abc'"))
    for vocabulary in (Vocabulary.characters(ALPHABET), Vocabulary.labels(["b", "a"]), pieces, taken):
        again = Vocabulary.from_dict(json.loads(json.dumps(vocabulary.to_dict())))
        assert again == vocabulary
        text = vocabulary.tokens[1] if vocabulary.kind == "labels" else "a cab"
        assert again.encode(text) == vocabulary.encode(text)


def test_what_is_unknown_is_named(pieces: Vocabulary) -> None:
    with pytest.raises(ValueError, match="unknown character 'x', 'é'"):
        Vocabulary.characters(ALPHABET).encode("axéx")
    with pytest.raises(ValueError, match="unknown label 'maybe'"):
        Vocabulary.labels(["yes", "no"]).encode("maybe")
    with pytest.raises(ValueError, match="'axb' holds characters that the SentencePiece model has no unit for"):
        pieces.encode("axb")


def test_the_tokens_of_a_bpe_model_are_all_that_its_segmentation_needs() -> None:
    """SentencePiece itself is the oracle: its pieces in their order, taken over, cut every text as it does."""
    rng = np.random.default_rng(2)
    words = ["turn", "tune", "turned", "on", "no", "noon", "the", "then", "radio", "hour", "under", "one", "three"]
    texts = [" ".join(rng.choice(words, 5)) for _ in range(80)]
    units = SentencePieceUnits(kind="sentencepiece", size=48, type="bpe", alphabet="".join(sorted(set("".join(texts)))))
    theirs = Vocabulary.sentencepiece(train_sentencepiece(texts, units))
    ours = Vocabulary.taken_over(theirs.tokens)
    assert sum(len(token) > 2 for token in ours.tokens) > 20
    for text in [*texts, *("".join(rng.choice([*"turnoheadi "], 12)).strip() for _ in range(200))]:
        assert ours.encode(text) == theirs.encode(" ".join(text.split()))
        assert ours.decode(ours.encode(text)) == " ".join(text.split())


@pytest.mark.parametrize(("units", "frames"), [([], 0), ([3], 1), ([1, 2, 1], 3), ([1, 1], 3), ([2, 2, 2, 1, 1], 8)])
def test_frames_needed_by_hand(units: list[int], frames: int) -> None:
    assert frames_needed(units) == frames
