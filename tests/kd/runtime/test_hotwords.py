"""Hotwords: what a text earns against counting, searches against adding up all paths, and at the prompt."""

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from ctc_paths import TOKENS, indices, labellings, random_log_probs
from hypothesis import given, settings
from hypothesis import strategies as st

from kd.runtime.beam import Beam
from kd.runtime.biased_greedy import BiasedGreedy
from kd.runtime.errors import RefusedError
from kd.runtime.greedy import Greedy
from kd.runtime.hotwords import Hotword, Hotwords, read_hotwords
from kd.runtime.recogniser import LogProbs
from kd.runtime.scorer import Scorer
from kd.runtime.words import BLANK_INDEX, SPACE, Unit, join

PIECES = ("<blk>", "▁a", "a", "b", "ab", "▁ba", "▁")
UNSPACED = ("<blk>", "a", "b", "c")
LETTERS = ("<blk>", *"abcdefghijklmnopqrstuvwxyz", "▁")

words = st.text("ab", min_size=1, max_size=3)
phrases = st.lists(st.lists(words, min_size=1, max_size=2).map(" ".join), max_size=5, unique=True)
boosts = st.floats(0.25, 4.0)


def made(texts: list[str], tokens: tuple[str, ...] = TOKENS, boost: float = 1.0) -> Hotwords:
    return Hotwords([Hotword(text, boost * (1 + i)) for i, text in enumerate(texts)], tokens)


def earned(hotwords: Hotwords, tokens: list[str]) -> float:
    """By the automaton, the end of the text included."""
    state, total = hotwords.start, 0.0
    for token in tokens:
        state, gain = hotwords.follow(state, token)
        total += gain
    return total + hotwords.close(state)


def counted(texts: list[str], text: str, boost: float = 1.0, spaced: bool = True) -> float:
    """Places of each phrase in a text, overlapping ones too, times its boost for each letter."""
    whole = f" {text} " if spaced else text
    bounded = (f" {phrase} " if spaced else phrase for phrase in texts)
    places = [len(re.findall(f"(?={re.escape(phrase)})", whole)) for phrase in bounded]
    letters = [len(phrase.replace(" ", "")) for phrase in texts]
    return sum(boost * (1 + i) * n * count for i, (n, count) in enumerate(zip(letters, places, strict=True)))


@settings(max_examples=300, deadline=None)
@given(texts=phrases, boost=boosts, drawn=st.lists(st.integers(1, 6), max_size=14), kind=st.sampled_from("wpu"))
def test_a_text_earns_what_stands_in_it_and_nothing_else(texts, boost, drawn, kind):
    tokens = {"w": TOKENS, "p": PIECES, "u": UNSPACED}[kind]
    if kind == "u":
        texts = list(dict.fromkeys(text.replace(" ", "") for text in texts))
    said = [tokens[1 + unit % (len(tokens) - 1)] for unit in drawn]
    hotwords = made(texts, tokens, boost)
    assert earned(hotwords, said) == pytest.approx(counted(texts, join(said), boost, kind != "u"), abs=1e-6)


def test_a_beginning_is_paid_at_once_and_taken_back_where_the_phrase_does_not_end():
    """By hand: `ab` at 1 nat a letter, and `abba` at 2."""
    hotwords = made(["ab", "abba"], boost=1.0)
    state, gains = hotwords.start, []
    for letter in ["a", "b", "b", SPACE]:
        state, gain = hotwords.follow(state, letter)
        gains.append(gain)
    assert gains == [2.0, 2.0, 2.0, -6.0]
    assert hotwords.hope(state) == 0.0
    assert earned(hotwords, ["a", "b"]) == 2.0
    assert earned(hotwords, ["a", "b", "b", "a"]) == 8.0
    assert earned(hotwords, ["b", "a", "b"]) == 0.0


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 999), num_frames=st.integers(0, 6), texts=phrases, boost=boosts)
def test_beam_search_finds_the_best_text_by_all_paths_and_hotwords(seed, num_frames, texts, boost):
    log_probs_TV = random_log_probs(num_frames, seed)
    hotwords = made(texts, boost=boost)
    search = Beam(TOKENS, 10_000, Scorer(hotwords=hotwords))
    search.push(log_probs_TV)
    totals = {
        labels: log_prob + counted(texts, join(TOKENS[unit] for unit in labels), boost)
        for labels, log_prob in labellings(log_probs_TV).items()
        if (np.array([log_probs_TV[:, unit].max() for unit in labels]) > -9).all()
    }
    assert totals[indices(search.units())] == pytest.approx(max(totals.values()), abs=1e-4)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 999), num_frames=st.integers(0, 30))
def test_without_a_phrase_nothing_changes(seed, num_frames):
    log_probs_TV, nothing = random_log_probs(num_frames, seed), Hotwords([], TOKENS)
    pairs = [
        (Greedy(), BiasedGreedy(TOKENS, nothing)),
        (Beam(TOKENS, 8, Scorer()), Beam(TOKENS, 8, Scorer(hotwords=nothing))),
    ]
    for plain, biased in pairs:
        plain.push(log_probs_TV)
        biased.push(log_probs_TV)
        assert times(plain.units()) == times(biased.units())


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 9_999), cuts=st.lists(st.integers(0, 30), max_size=4), num_frames=st.integers(0, 30),
    texts=phrases, boost=boosts,
)  # fmt: skip
def test_greedy_with_hotwords_is_the_same_however_it_is_cut_and_takes_nothing_back(
    seed, cuts, num_frames, texts, boost
):
    log_probs_TV, hotwords = random_log_probs(num_frames, seed), made(texts, boost=boost)
    whole, cut = BiasedGreedy(TOKENS, hotwords), BiasedGreedy(TOKENS, hotwords)
    whole.push(log_probs_TV)
    taken: list[Unit] = []
    for part in np.split(log_probs_TV, sorted(min(cut_at, num_frames) for cut_at in cuts)):
        cut.push(part)
        taken += cut.take()
    assert times([*taken, *cut.units()]) == times(whole.units())
    for before, after in pairwise(whole.units()):
        assert before.end <= after.start


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 9_999), num_frames=st.integers(1, 30), texts=phrases, boost=boosts)
def test_one_parting_of_greedy_paths_never_ends_with_the_worse(seed, num_frames, texts, boost):
    """The text of one phrase's length: what is kept scores no less than the best path, boosts counted."""
    log_probs_TV, hotwords = random_log_probs(num_frames, seed), made(texts, boost=boost)
    plain, biased = Greedy(), BiasedGreedy(TOKENS, hotwords)
    for end, frame_V in enumerate(log_probs_TV, 1):
        plain.push(frame_V[None])
        biased.push(frame_V[None])
        if times(plain.units()) != times(biased.units()):
            scores = [score(search.units(), log_probs_TV[:end], texts, boost) for search in (plain, biased)]
            assert scores[1] > scores[0] - 1e-4
            return


def test_texts_of_greedy_with_hotwords_earn_more_but_for_a_few() -> None:
    """Of 400 random recordings: a search that follows two paths may miss what a third would earn."""
    gains = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        texts = list(dict.fromkeys("".join(rng.choice(["a", "b"], rng.integers(1, 4))) for _ in range(3)))
        log_probs_TV, boost = random_log_probs(int(rng.integers(5, 30)), seed), float(rng.uniform(0.25, 4))
        plain, biased = Greedy(), BiasedGreedy(TOKENS, made(texts, boost=boost))
        plain.push(log_probs_TV)
        biased.push(log_probs_TV)
        before, after = (score(search.units(), log_probs_TV, texts, boost) for search in (plain, biased))
        gains.append(after - before)
    assert np.mean(np.array(gains) < -1e-4) <= 0.01
    assert np.mean(gains) > 1


def test_a_stream_says_a_doubtful_word_once_it_is_silent() -> None:
    """Nobody speaks on: `ten` or `tem`, the word is over, and nothing waits for the next one."""
    doubtful_TV = said("tem", {2: ("n", 0.45)})
    silence_TV = np.repeat(doubtful_TV[-1:], 10, axis=0)
    for boost, expected in ((2.0, "ten"), (0.01, "tem")):
        search = BiasedGreedy(LETTERS, Hotwords([Hotword("ten", boost)], LETTERS))
        search.push(doubtful_TV)
        taken = search.take()
        for _ in range(6):
            search.push(silence_TV)
            taken += search.take()
        assert join(LETTERS[unit.index] for unit in taken) == expected
        assert search.silent_frames >= 60


def score(units: list[Unit], log_probs_TV: LogProbs, texts: list[str], boost: float) -> float:
    path = np.full(len(log_probs_TV), BLANK_INDEX)
    for unit in units:
        path[unit.start : unit.end] = unit.index
    own = float(log_probs_TV[np.arange(len(path)), path].sum())
    return own + counted(texts, join(TOKENS[unit.index] for unit in units), boost)


def times(units: list[Unit]) -> list[tuple[int, int, int]]:
    return [(unit.index, unit.start, unit.end) for unit in units]


def said(text: str, doubts: dict[int, tuple[str, float]]) -> LogProbs:
    """Two frames a letter and a blank between; at some letters (by place) another one has this share instead."""
    rows = []
    for place, letter in enumerate(text.replace(" ", SPACE)):
        frame = np.full(len(LETTERS), 1e-4)
        other, share = doubts.get(place, (letter, 0.0))
        frame[LETTERS.index(letter)] = 1 - share
        frame[LETTERS.index(other)] += share
        blank = np.full(len(LETTERS), 1e-4)
        blank[BLANK_INDEX] = 1.0
        rows += [frame, frame, blank]
    probs = np.array(rows)
    return np.log(probs / probs.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize(
    ("hotwords", "heard"),
    [
        ([], "call andersen now"),
        (["anderson"], "call anderson now"),
        (["anders"], "call andersen now"),  # the phrase does not end there
        (["andersons"], "call andersen now"),  # it never ends
        (["call anderson"], "call anderson now"),
        (["anderson", "andersen"], "call andersen now"),
    ],
)
@pytest.mark.parametrize("kind", ["greedy", "beam"])
def test_a_name_that_is_nearly_heard_is_written_as_the_list_has_it(hotwords, heard, kind):
    log_probs_TV = said("call andersen now", {11: ("o", 0.4)})
    automaton = made(hotwords, LETTERS, boost=0.5) if len(hotwords) < 2 else None
    automaton = automaton or Hotwords([Hotword(text, 0.5) for text in hotwords], LETTERS)
    search = BiasedGreedy(LETTERS, automaton) if kind == "greedy" else Beam(LETTERS, 16, Scorer(hotwords=automaton))
    search.push(log_probs_TV)
    assert join(LETTERS[unit.index] for unit in search.units()) == heard


def test_a_line_may_have_a_boost_of_its_own_and_is_brought_to_the_models_case(tmp_path):
    file = tmp_path / "names.txt"
    file.write_text("# names\nAnderson\nnew  york :2.5\n\nnew york :3\n", encoding="utf-8")
    assert read_hotwords(file, 1.5, LETTERS) == [Hotword("anderson", 1.5), Hotword("new york", 3.0)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "holds no phrase: write one a line"),
        ("# only a remark\n", "holds no phrase"),
        ("one\ntwo :x\n", ":2: ':x' is no boost"),
        ("one :0\n", ":1: ':0' is no boost"),
        ("one :nan\n", ":1: ':nan' is no boost"),
        ("one :101\n", "up to 100"),
        ("one\nr2d2\n", ":2: 'r2d2' cannot be spelled by the model's tokens: it is stuck at '2'"),
    ],
)
def test_a_list_that_cannot_be_used_is_one_line_that_names_the_culprit(tmp_path, content, reason):
    file = tmp_path / "names.txt"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(RefusedError, match=re.escape(reason)) as refused:
        read_hotwords(file, 1.0, LETTERS)
    assert "\n" not in str(refused.value)
    assert str(file) in str(refused.value)


def test_no_such_list(tmp_path: Path):
    with pytest.raises(RefusedError, match="no such file"):
        Hotwords.read(tmp_path / "none.txt", 1.0, LETTERS)
