"""Phrases that were never trained: the search against trying all paths, thresholds by hand, real recordings."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from spoken_digits import RATE_HZ, Spoken

from kd.runtime.errors import RefusedError
from kd.runtime.phrases import Phrase, read_phrases, spell
from kd.runtime.program import main
from kd.runtime.recogniser import LogProbs, Recogniser
from kd.runtime.spotter import LOWEST, Spotter
from kd.runtime.thresholds import threshold_for

LETTERS = ("<blk>", "a", "b")
PIECES = ("<blk>", "▁a", "b", "▁ab", "▁")


def random_log_probs(num_frames: int, num_units: int, seed: int) -> LogProbs:
    logits = np.random.default_rng(seed).standard_normal((num_frames, num_units))
    return (logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)).astype(np.float32)


def spelled(path: tuple[int, ...], tokens: tuple[str, ...]) -> str:
    kept = (u for i, u in enumerate(path) if u and (i == 0 or path[i - 1] != u))
    return "".join(tokens[u] for u in kept)


def best_by_trying(log_probs_TV: LogProbs, phrase: Phrase, tokens: tuple[str, ...]) -> float:
    """The best score of any path through any stretch that spells the letters and begins and ends with a unit."""
    costs_TV, best = log_probs_TV - log_probs_TV.max(axis=1, keepdims=True), -np.inf
    for first in range(len(costs_TV)):
        for length in range(1, len(costs_TV) - first + 1):
            for path in product(range(len(tokens)), repeat=length):
                if path[0] and path[-1] and spelled(path, tokens) == phrase.letters:
                    best = max(best, float(sum(costs_TV[first + t, u] for t, u in enumerate(path))))
    return best / len(phrase.letters)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), text=st.sampled_from(["a", "ab", "aa", "bba"]), num_frames=st.integers(1, 6))
def test_the_best_hit_is_the_best_of_all_paths(seed: int, text: str, num_frames: int) -> None:
    log_probs_TV = random_log_probs(num_frames, len(LETTERS), seed)
    expected = best_by_trying(log_probs_TV, spell(text, LETTERS), LETTERS)
    hits = Spotter([spell(text, LETTERS)], LETTERS)(log_probs_TV)
    if expected < LOWEST:
        assert hits == []
    else:
        assert max(hit.score for hit in hits) == pytest.approx(expected, abs=1e-5)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_any_way_of_spelling_counts(seed: int) -> None:
    """`ab` is one piece or two."""
    log_probs_TV, phrase = random_log_probs(4, len(PIECES), seed), spell("ab", PIECES)
    assert phrase.letters == "▁ab"
    hits = Spotter([phrase], PIECES)(log_probs_TV)
    best = max((hit.score for hit in hits), default=-np.inf)
    expected = best_by_trying(log_probs_TV, phrase, PIECES)
    assert best == pytest.approx(expected, abs=1e-5) if expected >= LOWEST else not hits


def sure(units: list[int], num_units: int) -> LogProbs:
    return np.log(np.full((len(units), num_units), 1e-4) + np.eye(num_units)[units]).astype(np.float32)


def test_a_phrase_is_not_heard_within_a_longer_word() -> None:
    """Where ▁ is a token: `a` in `a b`, at both ends of the audio, and not in `ab`."""
    tokens = ("<blk>", "a", "b", "▁")
    spotter = Spotter([spell("a", tokens), spell("b", tokens)], tokens)
    hits = [hit for hit in spotter(sure([0, 1, 1, 0, 3, 0, 0, 2, 0], 4)) if hit.score > -0.01]
    assert [(hit.phrase, hit.start, hit.end) for hit in hits] == [("a", 1, 3), ("b", 7, 8)]
    assert all(hit.score < -1 for hit in spotter(sure([0, 1, 1, 0, 2, 0], 4)))


def test_every_place_is_found_once() -> None:
    hits = Spotter([spell("ab", LETTERS)], LETTERS)(sure([1, 2, 0, 0, 1, 0, 2, 2, 1, 2], 3))
    assert [(hit.start, hit.end) for hit in hits if hit.score > -0.01] == [(0, 2), (4, 7), (8, 10)]


def test_thresholds_by_hand() -> None:
    scores = [-0.1, -0.5, -0.2, -0.9]
    assert threshold_for(scores, hours=2.0, per_hour=1.0) == np.nextafter(-0.5, np.inf)
    assert threshold_for(scores, hours=2.0, per_hour=0.4) == np.nextafter(-0.1, np.inf)
    assert threshold_for(scores, hours=2.0, per_hour=2.0) == -np.inf
    assert threshold_for(scores, hours=0.0, per_hour=1.0) == np.inf


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([-0.1, -0.2, -0.3, -0.4]), max_size=9), st.floats(0.1, 5), st.floats(0.1, 5))
def test_a_threshold_is_the_lowest_that_keeps_the_rate(scores: list[float], hours: float, rate: float) -> None:
    threshold = threshold_for(scores, hours, rate)
    alarms = [score for score in scores if score >= threshold]
    assert len(alarms) <= rate * hours + 1e-6
    if len(alarms) < len(scores):
        next_best = max(score for score in scores if score < threshold)
        assert sum(score >= next_best for score in scores) > rate * hours


@pytest.mark.parametrize(("text", "stuck"), [("a7", "7"), ("a?b", "?")])
def test_what_cannot_be_spelled_is_named(tmp_path: Path, text: str, stuck: str) -> None:
    (tmp_path / "phrases.txt").write_text(f"# known\nab\n\n{text}\n")
    with pytest.raises(RefusedError, match="cannot be spelled") as error:
        read_phrases(tmp_path / "phrases.txt", LETTERS)
    assert f"'{stuck}'" in str(error.value)


def test_real_phrases_score_better_where_they_are_spoken(digits_export: Path, heard: list[Spoken]) -> None:
    """Pairs of digits: the best score in strings that hold one against strings that do not."""
    recogniser = Recogniser.load(digits_export)
    texts = sorted(
        {" ".join(pair) for s in heard[:20] for pair in zip(s.text.split(), s.text.split()[1:], strict=False)}
    )
    spotter = Spotter([spell(text, recogniser.bundle.tokens) for text in texts], recogniser.bundle.tokens)
    spoken_scores, other_scores = [], []
    for one in heard:
        hits = spotter(recogniser.log_probs(one.samples_N))
        for text in texts:
            best = max((hit.score for hit in hits if hit.phrase == text), default=LOWEST)
            (spoken_scores if f" {text} " in f" {one.text} " else other_scores).append(best)
    assert len(spoken_scores) > 30
    better = np.mean([[s > o for o in other_scores] for s in spoken_scores])
    assert better > 0.9


def test_the_command_finds_phrases_at_a_wanted_rate(
    digits_export: Path, heard: list[Spoken], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "speech").mkdir()
    (tmp_path / "background").mkdir()
    for i, spoken in enumerate(heard):
        folder = "speech" if "seven" in spoken.text else "background"
        soundfile.write(tmp_path / folder / f"{i}.wav", spoken.samples_N, RATE_HZ)
    (tmp_path / "phrases.txt").write_text("seven\n")
    rate = ["--background", str(tmp_path / "background"), "--false-alarms-per-hour", "60"]
    arguments = ["spot", str(digits_export), "--keywords", str(tmp_path / "phrases.txt"), "--format", "json"]
    assert main([*arguments, *rate, str(tmp_path / "speech")]) == 0
    captured = capsys.readouterr()
    hits = [json.loads(line) for line in captured.out.splitlines()]
    threshold = float(captured.err.split("threshold ")[1].split()[0])
    assert len({hit["file"] for hit in hits}) > 0.5 * len(list((tmp_path / "speech").iterdir()))
    assert all(hit["phrase"] == "seven" and hit["score"] >= threshold - 1e-3 for hit in hits)
    assert main([*arguments, "--threshold", str(threshold), str(tmp_path / "background")]) == 0
    seconds = sum(soundfile.info(file).duration for file in (tmp_path / "background").iterdir())
    assert len(capsys.readouterr().out.splitlines()) <= 60 * seconds / 3600 + 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--background", "."], "belong together"),
        (["--threshold", "1"], "between -6 and 0"),
        (["--threshold", "-1", "--background", ".", "--false-alarms-per-hour", "1"], "one of them"),
        (["--false-alarms-per-hour", "0", "--background", "."], "more than 0"),
    ],
)
def test_options_that_do_not_fit_are_named(digits_export: Path, capsys, options, message) -> None:
    assert main(["spot", str(digits_export), "--keywords", "phrases.txt", "a.wav", *options]) == 2
    assert message in capsys.readouterr().err
