"""Misses against false alarms an hour, of phrases that no model was trained to spot, on real connected digits.

    python benchmarks/spotting_curves.py exports/teacher --speaker george

Phrases are sequences of one, two and three digits, drawn from a seed. A string of a speaker who was left out of the
training holds a phrase or does not; its best score for the phrase counts, as a hit or as a false alarm. Curves of the
phrases of one length are pooled under one threshold.
"""

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that it runs from a checkout, by its path alone

import numpy as np
from digit_strings import FSDD, DigitString, write_strings
from rich.console import Console
from rich.table import Table

from kd.runtime.audio import read
from kd.runtime.phrases import spell
from kd.runtime.recogniser import Recogniser
from kd.runtime.spotter import Hit, Spotter
from tasks.data.corpora.phrases import DIGITS

RATES_PER_HOUR = (1.0, 3.0, 10.0, 30.0, 100.0)


@dataclass(frozen=True)
class Point:
    """Share of spoken phrases that are missed, and false alarms, at one threshold (nats a letter, at most 0)."""

    threshold: float
    miss_share: float
    false_alarms_per_hour: float


def curve(true_scores: Sequence[float], num_spoken: int, false_scores: Sequence[float], hours: float) -> list[Point]:
    """Misses and false alarms at each threshold that changes either, from the strictest on.

    true_scores: of the hits on phrases that were spoken; what was spoken `num_spoken` times and not hit is missed.
    """
    if num_spoken < max(1, len(true_scores)) or hours <= 0:
        raise ValueError(
            f"{len(true_scores)} hits on {num_spoken} spoken phrases in {hours:g} hours: expected at least as many "
            "spoken as hit, at least one, and some audio"
        )
    points = [Point(math.inf, 1.0, 0.0)]
    for threshold in sorted({*true_scores, *false_scores}, reverse=True):
        hits = sum(score >= threshold for score in true_scores)
        alarms = sum(score >= threshold for score in false_scores)
        points.append(Point(threshold, 1 - hits / num_spoken, alarms / hours))
    return points


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", type=Path, help="folder of an exported recogniser of digits")
    parser.add_argument("--speaker", default="george")
    parser.add_argument("--strings", type=int, default=400)
    parser.add_argument("--phrases", type=int, default=10, help="of each length")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--form", default="float32")
    parser.add_argument("--fsdd", type=Path, default=FSDD)
    parser.add_argument("--json", type=Path, help="write the curves there")
    options = parser.parse_args()
    recogniser = Recogniser.load(options.export, options.form)
    with tempfile.TemporaryDirectory() as folder:
        strings = write_strings(options.fsdd, Path(folder), options.speaker, options.strings, options.seed)
        phrases = choose_phrases(strings, options.phrases, options.seed)
        tokens = recogniser.bundle.tokens
        spotter = Spotter([spell(text, tokens) for texts in phrases.values() for text in texts], tokens)
        rate_hz = recogniser.bundle.frontend.sample_rate_hz
        hits = [spotter(recogniser.log_probs(read(str(string.file), rate_hz))) for string in strings]
    curves = {length: pooled(strings, hits, texts) for length, texts in phrases.items()}
    show(curves, sum(string.duration_s for string in strings), options)
    if options.json:
        rows = {length: [vars(point) for point in points[1:]] for length, points in curves.items()}
        options.json.write_text(json.dumps({"phrases": phrases, "curves": rows}, indent=1) + "\n", encoding="utf-8")


def choose_phrases(strings: list[DigitString], count: int, seed: int) -> dict[int, list[str]]:
    """By length in digits: so many phrases, each of which some string holds."""
    rng, chosen = np.random.default_rng(seed), {}
    for length in (1, 2, 3):
        spoken = {s.digits[i : i + length] for s in strings for i in range(len(s.digits) - length + 1)}
        there = sorted(spoken)
        picked = rng.permutation(len(there))[:count]
        chosen[length] = [" ".join(DIGITS[int(digit)] for digit in there[i]) for i in picked]
    return chosen


def pooled(strings: list[DigitString], hits: list[list[Hit]], texts: list[str]) -> list[Point]:
    """One threshold for all phrases; hours are those that each phrase was listened for, together."""
    true_scores, false_scores, num_spoken, seconds = [], [], 0, 0.0
    for string, found in zip(strings, hits, strict=True):
        for text in texts:
            spoken = f" {text} " in f" {string.text} "
            scores = [hit.score for hit in found if hit.phrase == text]
            num_spoken += spoken
            seconds += 0.0 if spoken else string.duration_s
            if spoken and scores:
                true_scores.append(max(scores))
            elif not spoken:
                false_scores += scores
    return curve(true_scores, num_spoken, false_scores, seconds / 3600)


def misses_at(points: list[Point], per_hour: float) -> Point:
    """The point of fewest misses that keeps to this rate of false alarms."""
    return min((p for p in points if p.false_alarms_per_hour <= per_hour), key=lambda p: p.miss_share)


def show(curves: dict[int, list[Point]], duration_s: float, options: argparse.Namespace) -> None:
    title = (
        f"{options.export}, {options.form}: speaker {options.speaker}, {options.strings} strings, {duration_s:.0f} s"
    )
    table = Table(title=f"{title}: share missed (threshold) at false alarms of a phrase an hour")
    for column in ("phrases of", *(f"{rate:g} an hour" for rate in RATES_PER_HOUR)):
        table.add_column(column)
    for length, points in curves.items():
        assert all(a.miss_share >= b.miss_share for a, b in pairwise(points))
        cells = (misses_at(points, rate) for rate in RATES_PER_HOUR)
        table.add_row(f"{length} digits", *(f"{p.miss_share:.1%} ({p.threshold:.2f})" for p in cells))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
