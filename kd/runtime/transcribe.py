"""`transcribe MODEL AUDIO…`: from audio to words with their times."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from kd.runtime import audio, live, transcripts
from kd.runtime.beam import Beam
from kd.runtime.bundle import FORMS, Bundle
from kd.runtime.errors import RefusedError
from kd.runtime.frontend import Samples
from kd.runtime.greedy import Greedy
from kd.runtime.recogniser import CHUNK_S, CONTEXT_S, LogProbs, Recogniser
from kd.runtime.scorer import Scorer
from kd.runtime.transcripts import Transcript
from kd.runtime.words import Unit, Word, join, to_words


class Decoder(Protocol):
    """Frames in, units out, at any time."""

    def push(self, log_probs_TV: LogProbs) -> None: ...
    def units(self) -> list[Unit]: ...


def add_options(parser: ArgumentParser) -> None:
    add_model_options(parser)
    parser.add_argument("--format", choices=transcripts.FORMATS, default="text", help="JSON: a line for each file")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="a file for each audio file, instead of printing")
    parser.add_argument("--beam", type=int, default=0, metavar="N", help="prefix beam search that keeps N; 0: greedy")
    parser.add_argument("--lm", type=Path, metavar="ARPA", help="word n-gram for beam search")
    parser.add_argument("--words", type=Path, metavar="FILE", help="the only words there are, for beam search")
    parser.add_argument("--lm-weight", type=float, default=0.5, metavar="W", help="of the n-gram against the model")
    parser.add_argument("--stream", action="store_true", help="words as they come, from models that say causal: true")
    parser.add_argument("--word-bonus", type=float, default=0.0, metavar="NATS", help="for each word in beam search")


def add_model_options(parser: ArgumentParser) -> None:
    """What all commands share: the model, the audio, and how it is run."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="an exported model's folder, such as exports/teacher")
    parser.add_argument("audio", nargs="+", metavar="AUDIO", help="files, folders, or - for raw samples on stdin")
    parser.add_argument("--rate", type=int, metavar="HZ", help="of the raw 16-bit mono samples; default: the model's")
    parser.add_argument("--form", choices=FORMS, default="float32", help="which of the folder's ONNX files")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--level", type=float, metavar="DBFS", help="scale to this level, such as -23; default: not at all"
    )
    parser.add_argument("--chunk-s", type=float, default=CHUNK_S, help="seconds of long audio taken at a time")
    parser.add_argument("--context-s", type=float, default=CONTEXT_S, help="seconds heard on both sides of a chunk")


def run(options: Namespace) -> None:
    """Print or write a transcript for each file. Raises RefusedError."""
    if options.stream:
        live.run(options)
        return
    decoder = decoder_of(options)
    recogniser = load(options)
    files = audio.find(options.audio)
    if len(files) > 1 and options.format in ("srt", "vtt") and options.out is None:
        raise RefusedError(f"subtitles of {len(files)} files on one output: name a folder for them by --out")
    for file, samples_N in samples_of(options, files, recogniser):
        transcript = transcribe(recogniser, decoder, file, samples_N)
        text = transcripts.FORMATS[options.format](transcript)
        if options.out is not None:
            write(options.out / (name_of(file, files) + transcripts.SUFFIXES[options.format]), text)
        elif options.format == "text" and len(files) > 1:
            print(f"{file}\t{text}", flush=True)
        else:
            print(text, flush=True)


def load(options: Namespace) -> Recogniser:
    return Recogniser.load(options.model, options.form, options.threads, options.chunk_s, options.context_s)


def samples_of(options: Namespace, files: list[str], recogniser: Recogniser) -> Iterator[tuple[str, Samples]]:
    """Each file with its samples at the model's rate, levelled where that is asked for."""
    rate_hz = recogniser.bundle.frontend.sample_rate_hz
    for file in files:
        if file == audio.STREAM:
            samples_N = np.concatenate(list(audio.raw(sys.stdin.buffer, options.rate or rate_hz, rate_hz)))
        else:
            samples_N = audio.read(file, rate_hz)
        yield file, samples_N if options.level is None else audio.level(samples_N, options.level)


def decoder_of(options: Namespace) -> Callable[[tuple[str, ...]], Decoder]:
    """Makes a decoder for a table of tokens. Raises RefusedError for options that do not fit together."""
    if options.beam < 0:
        raise RefusedError(f"--beam {options.beam}: expected 0 for greedy search, or how many prefixes are kept")
    if options.beam == 0:
        if options.lm or options.words:
            raise RefusedError("--lm and --words are for beam search: say --beam 16 as well")
        return lambda tokens: Greedy()
    scorer = Scorer.read(options.lm, options.words, options.lm_weight, options.word_bonus)
    return partial(_beam, options.beam, scorer)


def _beam(size: int, scorer: Scorer, tokens: tuple[str, ...]) -> Beam:
    return Beam(tokens, size, scorer)


def transcribe(
    recogniser: Recogniser, decoder: Callable[[tuple[str, ...]], Decoder], file: str, samples_N: Samples
) -> Transcript:
    bundle, duration_s = recogniser.bundle, len(samples_N) / recogniser.bundle.frontend.sample_rate_hz
    words = words_of(bundle, decoder(bundle.tokens), recogniser.log_probs(samples_N), duration_s)
    return Transcript(file, duration_s, tuple(words))


def words_of(bundle: Bundle, decoder: Decoder, log_probs_TV: LogProbs, duration_s: float) -> list[Word]:
    """The words of a whole utterance, or its keyword."""
    if bundle.problem == "keyword":
        return label(log_probs_TV, bundle.tokens, duration_s)
    decoder.push(log_probs_TV)
    return list(to_words(decoder.units(), bundle.tokens, bundle.step_s))


def label(log_probs_TV: LogProbs, tokens: tuple[str, ...], duration_s: float) -> list[Word]:
    """A keyword model's one label, over the whole of the audio; nothing for no audio."""
    if not len(log_probs_TV):
        return []
    best = int(log_probs_TV[0].argmax())
    return [Word(join([tokens[best]]), 0.0, round(duration_s, 3), round(float(np.exp(log_probs_TV[0, best])), 4))]


def name_of(file: str, files: list[str]) -> str:
    """A file's name without its suffix; with its folders where another has the same."""
    if file == audio.STREAM:
        return "stdin"
    stem = Path(file).stem
    alone = [Path(other).stem for other in files].count(stem) == 1
    return stem if alone else "_".join(Path(file).with_suffix("").parts).strip("/_.")


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text + "\n", encoding="utf-8")
