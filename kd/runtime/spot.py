"""`spot MODEL --keywords FILE AUDIO…`: phrases never trained, with their times and scores."""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from pathlib import Path

from kd.runtime import audio
from kd.runtime.errors import RefusedError
from kd.runtime.phrases import read_phrases
from kd.runtime.recogniser import Recogniser
from kd.runtime.spotter import LOWEST, Hit, Spotter
from kd.runtime.thresholds import threshold_for
from kd.runtime.transcribe import add_model_options, load, samples_of

THRESHOLD = -0.7


def add_options(parser: ArgumentParser) -> None:
    add_model_options(parser)
    parser.add_argument("--keywords", type=Path, required=True, metavar="FILE", help="one phrase a line")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="JSON: a line for each hit")
    parser.add_argument(
        "--threshold", type=float, metavar="NATS", help=f"lowest score a letter, at most 0; default: {THRESHOLD}"
    )
    parser.add_argument("--background", metavar="AUDIO", help="speech without the phrases, to choose thresholds by")
    parser.add_argument(
        "--false-alarms-per-hour", type=float, metavar="RATE", help="of each phrase, wanted on the background"
    )


def run(options: Namespace) -> None:
    """Print each hit. Raises RefusedError."""
    _check(options)
    recogniser = load(options)
    if recogniser.bundle.problem != "transcription":
        raise RefusedError(f"{options.model} tells its own keywords apart; phrases are found by a transcriber")
    spotter = Spotter(read_phrases(options.keywords, recogniser.bundle.tokens), recogniser.bundle.tokens)
    thresholds = _thresholds(options, recogniser, spotter)
    for file, samples_N in samples_of(options, audio.find(options.audio), recogniser):
        hits = spotter(recogniser.log_probs(samples_N))
        for hit in hits:
            if hit.score >= thresholds[hit.phrase]:
                print(_line(file, hit, recogniser.bundle.step_s, options.format), flush=True)


def _check(options: Namespace) -> None:
    if (options.background is None) != (options.false_alarms_per_hour is None):
        raise RefusedError("--background and --false-alarms-per-hour belong together: give both or neither")
    if options.background is not None and options.threshold is not None:
        raise RefusedError("--threshold and --background both choose a threshold: give one of them")
    if options.threshold is not None and not LOWEST <= options.threshold <= 0:
        raise RefusedError(f"--threshold {options.threshold:g}: scores lie between {LOWEST:g} and 0 nats a letter")
    if options.false_alarms_per_hour is not None and not options.false_alarms_per_hour > 0:
        raise RefusedError(f"--false-alarms-per-hour {options.false_alarms_per_hour:g}: expected more than 0")


def _thresholds(options: Namespace, recogniser: Recogniser, spotter: Spotter) -> dict[str, float]:
    """A threshold for each phrase; what the background could not tell is said on standard error."""
    texts = [phrase.text for phrase in spotter.phrases]
    if options.background is None:
        return dict.fromkeys(texts, THRESHOLD if options.threshold is None else options.threshold)
    hits, hours = score_audio(options, recogniser, spotter, audio.find([options.background]))
    rate = options.false_alarms_per_hour
    if rate * hours < 1:
        print(
            f"{hours:.2f} hours of background tell nothing of rates below {1 / max(hours, 1e-9):.3g} an hour: "
            "thresholds are set just above its best scores",
            file=sys.stderr,
        )
    found = {text: threshold_for([hit.score for hit in hits if hit.phrase == text], hours, rate) for text in texts}
    for text, threshold in found.items():
        print(f"threshold {threshold:.3f}\t{text}", file=sys.stderr)
    return found


def score_audio(
    options: Namespace, recogniser: Recogniser, spotter: Spotter, files: Iterable[str]
) -> tuple[list[Hit], float]:
    """All hits in files, and their hours."""
    hits: list[Hit] = []
    seconds = 0.0
    for _, samples_N in samples_of(options, list(files), recogniser):
        hits += spotter(recogniser.log_probs(samples_N))
        seconds += len(samples_N) / recogniser.bundle.frontend.sample_rate_hz
    return hits, seconds / 3600


def _line(file: str, hit: Hit, step_s: float, form: str) -> str:
    start_s, end_s = round(hit.start * step_s, 3), round(hit.end * step_s, 3)
    if form == "json":
        found = {"file": file, "phrase": hit.phrase, "start_s": start_s, "end_s": end_s, "score": round(hit.score, 4)}
        return json.dumps({**found, "confidence": round(hit.confidence, 4)}, ensure_ascii=False)
    return f"{file}\t{start_s:.2f}\t{end_s:.2f}\t{hit.score:.3f}\t{hit.phrase}"
