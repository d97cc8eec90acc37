"""`transcribe MODEL AUDIO…`: from audio to words with their times."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from kd.runtime import live, transcripts
from kd.runtime.audio_decoder import HIGHEST_HZ, LOWEST_HZ
from kd.runtime.beam import Beam
from kd.runtime.biased_greedy import BiasedGreedy
from kd.runtime.bundle import FORMS, Bundle
from kd.runtime.errors import RefusedError
from kd.runtime.files import write_whole
from kd.runtime.find import find
from kd.runtime.frontend import Samples
from kd.runtime.greedy import Greedy
from kd.runtime.hotwords import BOOST, MOST, Hotwords
from kd.runtime.names import names_of
from kd.runtime.options import number, path, place, whole
from kd.runtime.recogniser import CHUNK_S, CONTEXT_S, LogProbs, Recogniser
from kd.runtime.scorer import Scorer
from kd.runtime.sources import Source
from kd.runtime.tally import Tally
from kd.runtime.terminal import ESCAPES, visible
from kd.runtime.transcripts import Transcript
from kd.runtime.words import Unit, Word, join, to_words


class Decoder(Protocol):
    """Frames in, units out, at any time."""

    def push(self, log_probs_TV: LogProbs) -> None: ...
    def units(self) -> list[Unit]: ...


def add_options(parser: ArgumentParser) -> None:
    """Add the arguments of `transcribe` to a parser."""
    add_model_options(parser)
    parser.add_argument("--format", choices=transcripts.FORMATS, default="text", help="JSON: a line for each file")
    parser.add_argument("--out", type=path, metavar="FOLDER", help="a file for each audio file, instead of printing")
    parser.add_argument("--stream", action="store_true", help="words as they come, from models that say causal: true")
    beam = parser.add_argument_group("beam search")
    beam.add_argument(
        "--beam",
        type=whole(0, 10_000),
        default=0,
        metavar="N",
        help="prefix beam search that keeps N; 0, the default: greedy",
    )
    beam.add_argument("--lm", type=path, metavar="ARPA", help="word n-gram")
    beam.add_argument("--words", type=path, metavar="FILE", help="the only words there are")
    beam.add_argument(
        "--lm-weight",
        type=number(0, 100),
        default=0.5,
        metavar="W",
        help="of the n-gram against the model; default: %(default)s",
    )
    beam.add_argument(
        "--word-bonus",
        type=number(-100, 100),
        default=0.0,
        metavar="NATS",
        help="for each word; default: %(default)s",
    )
    add_hotword_options(parser)


def add_hotword_options(parser: ArgumentParser) -> None:
    """Phrases that any search may favour."""
    group = parser.add_argument_group("hotwords, in any search")
    group.add_argument(
        "--hotwords",
        type=path,
        metavar="FILE",
        help="phrases to favour, one a line; ' :2' behind one is its own boost. All other words stay possible",
    )
    group.add_argument(
        "--hotword-boost",
        type=number(0, MOST, above=True),
        default=BOOST,
        metavar="NATS",
        help="for each letter of a hotword; too much of it harms all other words; default: %(default)s",
    )


def add_model_options(parser: ArgumentParser) -> None:
    """What all commands share: the model, the audio, and how it is run."""
    parser.add_argument("model", type=path, metavar="MODEL", help="an exported model's folder, such as exports/teacher")
    parser.add_argument(
        "audio", type=place, nargs="+", metavar="AUDIO", help="files, folders, or - for samples or a WAV on stdin"
    )
    audio = parser.add_argument_group("audio")
    audio.add_argument(
        "--rate",
        type=whole(LOWEST_HZ, HIGHEST_HZ),
        metavar="HZ",
        help="of the raw 16-bit mono samples; default: the model's",
    )
    audio.add_argument(
        "--level", type=number(-100, 0), metavar="DBFS", help="scale to this level, such as -23; default: not at all"
    )
    how = parser.add_argument_group("how the model is run")
    how.add_argument(
        "--form", choices=FORMS, default="float32", help="which of the folder's ONNX files; default: %(default)s"
    )
    how.add_argument(
        "--threads", type=whole(1, 256), default=1, metavar="N", help="of ONNX Runtime; default: %(default)s"
    )
    how.add_argument(
        "--chunk-s",
        type=number(0, 3_600, above=True),
        default=CHUNK_S,
        metavar="SECONDS",
        help="of long audio taken at a time; default: %(default)s",
    )
    how.add_argument(
        "--context-s",
        type=number(0, 600),
        default=CONTEXT_S,
        metavar="SECONDS",
        help="on both sides of a chunk; default: %(default)s",
    )


def run(options: Namespace) -> int:
    """Print or write a transcript for each file; gives the exit code. Raises RefusedError."""
    if options.stream:
        return live.run(options)
    recogniser = load(options)
    if recogniser.bundle.problem == "keyword" and options.hotwords is not None:
        raise RefusedError(f"{options.model} gives one label for a recording: --hotwords are for transcribers")
    decoder = decoder_factory(options, recogniser.bundle.tokens)
    found = find(options.audio)
    if len(found.files) > 1 and options.format in ("srt", "vtt") and options.out is None:
        raise RefusedError(f"subtitles of {len(found.files)} files on one output: name a folder for them by --out")
    names, tally = names_of(found.files), Tally(options.program, found)
    for file in found.files:
        with tally.of(file):
            source = Source(options, file, recogniser.bundle.frontend.sample_rate_hz, tally)
            transcript = transcribe(recogniser, decoder, file, source.pieces())
            text = transcripts.FORMATS[options.format](transcript)
            if options.out is not None:
                write(options.out / (names[file] + transcripts.SUFFIXES[options.format]), text)
            elif options.format == "text" and len(found.files) > 1:
                print(f"{visible(file)}\t{text}", flush=True)
            else:
                print(text, flush=True)
    return tally.code


def load(options: Namespace) -> Recogniser:
    """The recogniser that the arguments name. Raises RefusedError."""
    return Recogniser.load(options.model, options.form, options.threads, options.chunk_s, options.context_s)


def decoder_factory(options: Namespace, tokens: tuple[str, ...]) -> Callable[[tuple[str, ...]], Decoder]:
    """What makes a decoder for a table of tokens. Raises RefusedError for options that do not fit together."""
    hotwords = Hotwords.read(options.hotwords, options.hotword_boost, tokens)
    if options.beam == 0:
        if options.lm or options.words:
            raise RefusedError("--lm and --words are for beam search: say --beam 16 as well")
        return lambda tokens: Greedy() if hotwords is None else BiasedGreedy(tokens, hotwords)
    scorer = Scorer.read(options.lm, options.words, options.lm_weight, options.word_bonus, tokens)
    scorer = replace(scorer, hotwords=hotwords)
    return lambda tokens: Beam(tokens, options.beam, scorer)


def transcribe(
    recogniser: Recogniser,
    decoder: Callable[[tuple[str, ...]], Decoder],
    file: str,
    pieces: Iterable[Samples],
) -> Transcript:
    """Of audio at the model's rate that comes in pieces."""
    bundle, num_samples = recogniser.bundle, 0

    def counted() -> Iterator[Samples]:
        nonlocal num_samples
        for samples_N in pieces:
            num_samples += len(samples_N)
            yield samples_N

    search = decoder(bundle.tokens)
    words: list[Word] = []
    for log_probs_TV in recogniser.stream(counted()):
        if bundle.problem == "keyword":
            words = label(log_probs_TV, bundle.tokens, num_samples / bundle.frontend.sample_rate_hz)
        else:
            search.push(log_probs_TV)
    if bundle.problem != "keyword":
        words = to_words(search.units(), bundle.tokens, bundle.step_s)
    return Transcript(file, num_samples / bundle.frontend.sample_rate_hz, tuple(words))


def words_of(bundle: Bundle, decoder: Decoder, log_probs_TV: LogProbs, duration_s: float) -> list[Word]:
    """The words of a whole utterance, or its keyword."""
    if bundle.problem == "keyword":
        return label(log_probs_TV, bundle.tokens, duration_s)
    decoder.push(log_probs_TV)
    return to_words(decoder.units(), bundle.tokens, bundle.step_s)


def label(log_probs_TV: LogProbs, tokens: tuple[str, ...], duration_s: float) -> list[Word]:
    """A keyword model's one label, over the whole of the audio; nothing for no audio."""
    if not len(log_probs_TV):
        return []
    best = int(log_probs_TV[0].argmax())
    return [Word(join([tokens[best]]), 0.0, round(duration_s, 3), round(float(np.exp(log_probs_TV[0, best])), 4))]


def write(file: Path, text: str) -> None:
    """Raises RefusedError where it cannot be written."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, (text + "\n").encode("utf-8", ESCAPES))
    except OSError as error:
        raise RefusedError(f"{file} cannot be written: {error.strerror or error}. Name another place") from None
