"""Greedy and beam search, against counting all paths; n-grams and word lists; words and their times."""

from pathlib import Path

import numpy as np
import pytest
import torch
from ctc_paths import TOKENS, indices, labellings, random_log_probs
from hypothesis import given, settings
from hypothesis import strategies as st

from kd.runtime.beam import Beam
from kd.runtime.errors import RefusedError
from kd.runtime.greedy import Greedy
from kd.runtime.ngram import NGram
from kd.runtime.scorer import Scorer
from kd.runtime.words import Unit, join, to_words
from kd.text.decoding import ctc_greedy

ARPA = """\\data\\
ngram 1=5
ngram 2=2

\\1-grams:
-99 <s> -0.3
-1.0 </s>
-0.5 a -0.2
-0.8 b
-2.0 <unk>

\\2-grams:
-0.1 <s> b
-0.4 a b
\\end\\
"""


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 999), cuts=st.lists(st.integers(0, 30), max_size=4), num_frames=st.integers(0, 30))
def test_greedy_is_that_of_training_however_it_is_cut(seed: int, cuts: list[int], num_frames: int) -> None:
    log_probs_TV, search = random_log_probs(num_frames, seed), Greedy()
    taken: list[Unit] = []
    for part in np.split(log_probs_TV, sorted(min(cut, num_frames) for cut in cuts)):
        search.push(part)
        taken += search.take()
    units = taken + search.units()
    if num_frames:
        assert [list(indices(units))] == ctc_greedy(torch.from_numpy(log_probs_TV)[None], torch.tensor([num_frames]))
    for unit in units:
        own_T = log_probs_TV[unit.start : unit.end]
        assert (own_T.argmax(axis=1) == unit.index).all()
        assert unit.log_prob == pytest.approx(float(own_T[:, unit.index].mean()), abs=1e-5)


@pytest.mark.parametrize("seed", range(12))
def test_a_wide_beam_finds_the_likeliest_of_all_sequences(seed: int) -> None:
    log_probs_TV = random_log_probs(5, seed, sharpness=0.7)
    search = Beam(TOKENS, 2_000, Scorer())
    search.push(log_probs_TV)
    sums = labellings(log_probs_TV)
    assert indices(search.units()) == max(sums, key=sums.__getitem__)


@pytest.mark.parametrize("seed", range(6))
def test_beam_with_words_and_an_ngram_finds_the_best_sum_of_both(seed: int, tmp_path: Path) -> None:
    (tmp_path / "lm.arpa").write_text(ARPA)
    (tmp_path / "words").write_text("a b ab\n")
    scorer = Scorer.read(tmp_path / "lm.arpa", tmp_path / "words", weight=0.8, bonus=0.3)
    log_probs_TV = random_log_probs(5, seed, sharpness=0.7)
    search = Beam(TOKENS, 2_000, scorer)
    search.push(log_probs_TV[:2])
    search.push(log_probs_TV[2:])
    best, ngram = (-np.inf, ()), NGram.read(tmp_path / "lm.arpa")
    for sequence, log_prob in labellings(log_probs_TV).items():
        words = join(TOKENS[u] for u in sequence).split()
        if not set(words) <= {"a", "b", "ab"}:
            continue
        language = sum(ngram.log_prob(w, ("<s>", *words)[: i + 1]) for i, w in enumerate([*words, "</s>"]))
        best = max(best, (log_prob + 0.8 * language + 0.3 * len(words), sequence))
    assert indices(search.units()) == best[1]


def test_a_list_that_leaves_no_whole_word_drops_the_last() -> None:
    log_probs_TV = np.log(np.array([[0.01, 0.97, 0.01, 0.01], [0.01, 0.01, 0.01, 0.97], [0.01, 0.97, 0.01, 0.01]]))
    search = Beam(TOKENS, 1, Scorer(words=frozenset(["a", "aa"])))
    search.push(log_probs_TV.astype(np.float32))
    assert join(TOKENS[u.index] for u in search.units()) == "a a"
    search = Beam(TOKENS, 1, Scorer(words=frozenset(["a", "ab"])))
    search.push(np.log(np.array([[0.1, 0.8, 0.05, 0.05], [0.1, 0.05, 0.05, 0.8]])).astype(np.float32))
    assert join(TOKENS[u.index] for u in search.units()) == "a"


def test_times_of_a_beam_are_those_of_its_best_path() -> None:
    path = [0, 1, 1, 0, 0, 2, 2, 2, 0, 1]
    log_probs_TV = np.log(np.full((10, 4), 0.02) + 0.92 * np.eye(4)[path]).astype(np.float32)
    search, greedy = Beam(TOKENS, 8, Scorer()), Greedy()
    search.push(log_probs_TV)
    greedy.push(log_probs_TV)
    assert [(u.index, u.start, u.end) for u in search.units()] == [(1, 1, 3), (2, 5, 8), (1, 9, 10)]
    for ours, theirs in zip(search.units(), greedy.units(), strict=True):
        assert ours.log_prob == pytest.approx(theirs.log_prob, abs=1e-5)


def test_backing_off_by_hand(tmp_path: Path) -> None:
    (tmp_path / "lm.arpa").write_text(ARPA)
    ngram = NGram.read(tmp_path / "lm.arpa")
    ln_10 = np.log(10.0)
    assert ngram.log_prob("b", ("<s>",)) == pytest.approx(-0.1 * ln_10)
    assert ngram.log_prob("a", ("<s>",)) == pytest.approx((-0.3 - 0.5) * ln_10)
    assert ngram.log_prob("b", ("x", "a")) == pytest.approx(-0.4 * ln_10)
    assert ngram.log_prob("a", ("b",)) == pytest.approx(-0.5 * ln_10)
    assert ngram.log_prob("zebra", ("a",)) == pytest.approx((-0.2 - 2.0) * ln_10)


@pytest.mark.parametrize("text", ["", "no language model", "\\1-grams:\n-1 a b c\n"])
def test_what_is_no_language_model_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "lm.arpa").write_text(text)
    with pytest.raises(RefusedError, match=r"lm\.arpa"):
        NGram.read(tmp_path / "lm.arpa")


def test_words_of_letters_and_of_pieces() -> None:
    def units(*indices: int) -> list[Unit]:
        return [Unit(index, 10 * i, 10 * i + 2, -0.1 * i) for i, index in enumerate(indices)]

    words = to_words(units(1, 2, 3, 3, 2), TOKENS, 0.04)
    assert [(w.text, w.start_s, w.end_s) for w in words] == [("ab", 0.0, 0.48), ("b", 1.6, 1.68)]
    assert words[0].confidence == pytest.approx(np.exp(-0.05), abs=1e-4)
    pieces = ("<blk>", "▁tur", "n", "▁on", "<0xC3>", "<0xA9>")
    assert [w.text for w in to_words(units(1, 2, 3, 4, 5), pieces, 0.04)] == ["turn", "oné"]
    assert join(["▁", "▁", "a", "▁"]) == "a"
