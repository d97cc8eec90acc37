"""Words of a stream, each as soon as it is over."""

import json
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict
from itertools import pairwise

import numpy as np

from kd.runtime.audio import READ_S
from kd.runtime.biased_greedy import BiasedGreedy
from kd.runtime.bundle import Bundle
from kd.runtime.errors import RefusedError
from kd.runtime.find import find
from kd.runtime.frontend import Samples
from kd.runtime.greedy import Greedy
from kd.runtime.hotwords import Hotwords
from kd.runtime.sources import Source
from kd.runtime.stream import Stream
from kd.runtime.tally import Tally
from kd.runtime.words import SPACE, Unit, Word, to_words

PAUSE_S = 0.6  # after which a word counts as over


class Live:
    """Greedy search over a stream, which may favour hotwords. The next word, a space or a pause ends a word."""

    def __init__(self, stream: Stream, hotwords: Hotwords | None = None) -> None:
        self._stream = stream
        self._greedy = Greedy() if hotwords is None else BiasedGreedy(stream.bundle.tokens, hotwords)
        self._pending: list[Unit] = []

    def push(self, samples_N: Samples, last: bool = False) -> list[Word]:
        """The words that are over now."""
        bundle = self._stream.bundle
        self._greedy.push(self._stream.push(samples_N, last))
        self._pending += self._greedy.take()
        if last:
            self._pending += self._greedy.units()
        paused = self._greedy.silent_frames * bundle.step_s >= PAUSE_S
        over = len(self._pending) if last or paused else self._last_break()
        done, self._pending = self._pending[:over], self._pending[over:]
        return to_words(done, bundle.tokens, bundle.step_s)

    def _last_break(self) -> int:
        """How many of the pending units belong to words that are over."""
        tokens = [self._stream.bundle.tokens[unit.index] for unit in self._pending]
        breaks = [i for i, (a, b) in enumerate(pairwise([*tokens, ""]), 1) if a.endswith(SPACE) or b.startswith(SPACE)]
        return max(breaks, default=0)


def run(options: Namespace) -> int:
    """Print each word of each file as soon as it is over; as JSON, a line a word. Gives the exit code.

    Raises RefusedError.
    """
    unfit = {
        "--beam": options.beam,
        "--out": options.out,
        "--level": options.level is not None,
        "--form": options.form != "float32",
        f"--format {options.format}": options.format in ("srt", "vtt"),
    }
    if refused := [name for name, given in unfit.items() if given]:
        raise RefusedError(f"{', '.join(refused)} cannot be had from a stream: leave out that or --stream")
    bundle = Bundle.load(options.model)
    rate_hz = bundle.frontend.sample_rate_hz
    hotwords = Hotwords.read(options.hotwords, options.hotword_boost, bundle.tokens)
    found = find(options.audio)
    tally = Tally(options.program, found)
    for file in found.files:
        live, num_samples = Live(Stream(bundle, options.threads), hotwords), 0
        with tally.of(file):
            source = Source(options, file, rate_hz, tally)
            for samples_N in source.pieces():
                for piece_N in pieces(samples_N, rate_hz):
                    num_samples += len(piece_N)
                    _print(file, live.push(piece_N), num_samples / rate_hz, options.format)
        _print(file, live.push(np.zeros(0, np.float32), last=True), num_samples / rate_hz, options.format)
        if options.format == "text" and num_samples:
            print(flush=True)
    return tally.code


def _print(file: str, words: list[Word], heard_s: float, form: str) -> None:
    for word in words:
        if form == "text":
            print(word.text, end=" ", flush=True)
        else:
            print(json.dumps({"file": file, "heard_s": round(heard_s, 3), **asdict(word)}), flush=True)


def pieces(samples_N: Samples, rate_hz: int) -> Iterator[Samples]:
    """A whole recording as a stream would bring it."""
    size = max(1, round(READ_S * rate_hz))
    for first in range(0, len(samples_N), size):
        yield samples_N[first : first + size]
