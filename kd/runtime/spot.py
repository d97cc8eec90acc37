"""`spot MODEL --keywords FILE AUDIO…`: phrases never trained, with their times and scores."""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator

from kd.runtime.errors import RefusedError
from kd.runtime.find import Found, find
from kd.runtime.frontend import Samples
from kd.runtime.options import number, path, place
from kd.runtime.phrases import read_phrases
from kd.runtime.recogniser import Recogniser
from kd.runtime.sources import Source
from kd.runtime.spotter import LOWEST, Hit, Spotter
from kd.runtime.tally import Tally
from kd.runtime.terminal import say, visible
from kd.runtime.thresholds import threshold_for
from kd.runtime.transcribe import add_model_options, load

THRESHOLD = -0.7


def add_options(parser: ArgumentParser) -> None:
    """Add the arguments of `spot` to a parser."""
    add_model_options(parser)
    parser.add_argument("--keywords", type=path, required=True, metavar="FILE", help="one phrase a line")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="JSON: a line for each hit")
    thresholds = parser.add_argument_group("thresholds")
    thresholds.add_argument(
        "--threshold",
        type=number(LOWEST, 0),
        metavar="NATS",
        help=f"lowest score a letter, at most 0; default: {THRESHOLD}",
    )
    thresholds.add_argument(
        "--background", type=place, metavar="AUDIO", help="speech without the phrases, to choose thresholds by"
    )
    thresholds.add_argument(
        "--false-alarms-per-hour",
        type=number(0, 1e6, above=True),
        metavar="RATE",
        help="of each phrase, wanted on the background",
    )


def run(options: Namespace) -> int:
    """Print each hit; gives the exit code. Raises RefusedError."""
    _check(options)
    recogniser = load(options)
    if recogniser.bundle.problem != "transcription":
        raise RefusedError(
            f"{options.model} is a keyword model, but phrases are found by a transcription model: name one"
        )
    spotter = Spotter(read_phrases(options.keywords, recogniser.bundle.tokens), recogniser.bundle.tokens)
    thresholds = _thresholds(options, recogniser, spotter)
    lowest, found = min(thresholds.values()), find(options.audio)
    tally = Tally(options.program, found)
    for file in found.files:
        with tally.of(file):
            source = Source(options, file, recogniser.bundle.frontend.sample_rate_hz, tally)
            for hit in spotter.through(recogniser.stream(source.pieces()), lowest):
                if hit.score >= thresholds[hit.phrase]:
                    print(_line(file, hit, recogniser.bundle.step_s, options.format), flush=True)
    return tally.code


def _check(options: Namespace) -> None:
    if (options.background is None) != (options.false_alarms_per_hour is None):
        raise RefusedError("--background and --false-alarms-per-hour belong together: give both or neither")
    if options.background is not None and options.threshold is not None:
        raise RefusedError("--threshold and --background both choose a threshold: give one of them")


def _thresholds(options: Namespace, recogniser: Recogniser, spotter: Spotter) -> dict[str, float]:
    """A threshold for each phrase; what the background could not tell is said on standard error."""
    texts = [phrase.text for phrase in spotter.phrases]
    if options.background is None:
        return dict.fromkeys(texts, THRESHOLD if options.threshold is None else options.threshold)
    hits, hours = score_audio(options, recogniser, spotter, find([options.background]))
    rate = options.false_alarms_per_hour
    if rate * hours < 1:
        say(
            f"{hours:.2f} hours of background tell nothing of rates below {1 / max(hours, 1e-9):.3g} an hour: "
            "thresholds are set just above its best scores"
        )
    found = {text: threshold_for([hit.score for hit in hits if hit.phrase == text], hours, rate) for text in texts}
    for text, threshold in found.items():
        print(f"threshold {threshold:.3f}\t{text}", file=sys.stderr)
    return found


def score_audio(options: Namespace, recogniser: Recogniser, spotter: Spotter, found: Found) -> tuple[list[Hit], float]:
    """All hits in files, and their hours. Raises RefusedError where a file cannot be decoded whole."""
    hits: list[Hit] = []
    samples = 0
    if found.failures:
        raise RefusedError(found.failures[0])

    def counted(pieces: Iterable[Samples]) -> Iterator[Samples]:
        nonlocal samples
        for samples_N in pieces:
            samples += len(samples_N)
            yield samples_N

    rate_hz = recogniser.bundle.frontend.sample_rate_hz
    for file in found.files:
        source = Source(options, file, rate_hz, None)
        hits += spotter.through(recogniser.stream(counted(source.pieces())))
    return hits, samples / rate_hz / 3600


def _line(file: str, hit: Hit, step_s: float, form: str) -> str:
    start_s, end_s = round(hit.start * step_s, 3), round(hit.end * step_s, 3)
    if form == "json":
        found = {"file": file, "phrase": hit.phrase, "start_s": start_s, "end_s": end_s, "score": round(hit.score, 4)}
        return json.dumps({**found, "confidence": round(hit.confidence, 4)}, ensure_ascii=False)
    return f"{visible(file)}\t{start_s:.2f}\t{end_s:.2f}\t{hit.score:.3f}\t{hit.phrase}"
