"""Which hypotheses a student may learn from, judged without any reference. Pure functions.

Whisper makes words up in silence, in noise and in clips under a second, and runs into loops (Radford et al.
2022, arXiv:2212.04356, sec. 4.5: compression ratio and no-speech probability are its authors' own checks).
Legend: N samples.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import Levenshtein

from kd.config.filtering import FilterSettings

LONGEST_NGRAM = 4
_WINDOW_S = 0.025


@dataclass(frozen=True)
class FilterInput:
    """A hypothesis with all that is known of it but the truth.

    text: in the student's alphabet, None where it cannot be written there; raw: as the recogniser wrote it.
    confidence, no_speech: probabilities, None where the recogniser gives none. opinions: its transcripts of
    other views of the audio, or those of other recognisers. frames, frames_needed: of the student, and
    those that CTC needs for the text. refused: why the recogniser was not asked, None where it was.
    """

    text: str | None
    raw: str
    seconds: float
    frames: int
    frames_needed: int
    range_db: float
    confidence: float | None = None
    no_speech: float | None = None
    opinions: tuple[str, ...] = ()
    refused: str | None = None


@dataclass(frozen=True)
class Drop:
    """Why a hypothesis is not kept: the name of a rule, and what was found."""

    reason: str
    detail: str


def filter_hypothesis(candidate: FilterInput, settings: FilterSettings | None) -> Drop | None:
    """The first rule that rejects a hypothesis, in the table's order; None keeps it.

    Without settings only what cannot be learnt at all is dropped. Raises ValueError where a rule asks for
    what the recogniser does not give.
    """
    rules = NEEDED if settings is None else {**NEEDED, **CHOSEN}
    for reason, rule in rules.items():
        if found := rule(candidate, settings or FilterSettings()):
            return Drop(reason, found)
    return None


def disagreement(a: str, b: str) -> float:
    """Edit distance over characters by the longer text's length: 0 for equal texts, 1 for nothing in common."""
    return Levenshtein.normalized_distance(a, b)


def longest_loop(words: Sequence[str], longest_ngram: int = LONGEST_NGRAM) -> int:
    """How many times one to four words follow themselves without a break, at most: `a b a b c` gives 2."""
    most = min(1, len(words))
    for size in range(1, min(longest_ngram, len(words) // 2) + 1):
        matches = 0
        for i in range(size, len(words)):
            matches = matches + 1 if words[i] == words[i - size] else 0
            most = max(most, matches // size + 1)
    return most


def compression_ratio(text: str) -> float:
    """Bytes of the text by bytes that zlib makes of it; about 1 for sentences, above 2.4 for loops."""
    plain = text.encode()
    return len(plain) / len(zlib.compress(plain))


def range_db(waveform_N: npt.NDArray[np.float32], sample_rate_hz: int) -> float:
    """Level of the loud stretches (95 % of windows of 25 ms lie below) above the quiet ones (10 %), in dB.

    Speech has syllables and pauses, white noise of a second or more stays below 2 dB. A clip of less than
    four windows gives infinity: it is too short to tell.
    """
    window = max(1, round(_WINDOW_S * sample_rate_hz))
    whole = len(waveform_N) // window
    if whole < 4:
        return float("inf")
    power = np.square(waveform_N[: whole * window].reshape(whole, window).astype(np.float64)).mean(axis=1)
    quiet, loud = np.quantile(power, (0.1, 0.95))
    return 0.0 if loud == 0 else float(10 * np.log10(loud / max(quiet, 1e-10)))


def _not_asked(c: FilterInput, _: FilterSettings) -> str:
    return c.refused or ""


def _nothing_heard(c: FilterInput, _: FilterSettings) -> str:
    return "" if c.raw.strip() else "no word"


def _out_of_vocabulary(c: FilterInput, _: FilterSettings) -> str:
    return "" if c.text else f"{c.raw!r} cannot be written in the student's units"


def _not_alignable(c: FilterInput, _: FilterSettings) -> str:
    return f"{c.frames} frames, CTC needs {c.frames_needed}" if c.frames < c.frames_needed else ""


def _too_short(c: FilterInput, s: FilterSettings) -> str:
    return f"{c.seconds:.2f} s, below {s.min_seconds:g}" if c.seconds < s.min_seconds else ""


def _no_sound(c: FilterInput, s: FilterSettings) -> str:
    few = s.min_range_db is not None and c.range_db < s.min_range_db
    return f"loud {c.range_db:.1f} dB above quiet, below {s.min_range_db:g}" if few else ""


def _no_speech(c: FilterInput, s: FilterSettings) -> str:
    much = s.max_no_speech is not None and c.no_speech is not None and c.no_speech > s.max_no_speech
    return f"P(no speech) {c.no_speech:.2f}, above {s.max_no_speech:g}" if much else ""


def _loop(c: FilterInput, s: FilterSettings) -> str:
    repeats = longest_loop(c.raw.lower().split())
    return f"{repeats} times over" if s.max_repeats is not None and repeats > s.max_repeats else ""


def _compressible(c: FilterInput, s: FilterSettings) -> str:
    ratio = compression_ratio(c.raw)
    return f"compresses {ratio:.1f} times" if s.max_compression is not None and ratio > s.max_compression else ""


def _too_fast(c: FilterInput, s: FilterSettings) -> str:
    most, rate = s.max_characters_per_second, len(c.raw.strip()) / c.seconds
    return f"{rate:.0f} characters a second" if most is not None and rate > most else ""


def _unsure(c: FilterInput, s: FilterSettings) -> str:
    if s.min_confidence is None:
        return ""
    if c.confidence is None:
        raise ValueError(
            "filter.min_confidence is set, but this teacher gives no confidence: remove it, or add the column "
            "confidence to its table"
        )
    return f"confidence {c.confidence:.2f}, below {s.min_confidence:g}" if c.confidence < s.min_confidence else ""


def _disagreement(c: FilterInput, s: FilterSettings) -> str:
    if s.max_disagreement is None:
        return ""
    if not c.opinions:
        return "there is no second opinion"
    worst = max(c.opinions, key=lambda other: disagreement(c.text or "", other))
    share = disagreement(c.text or "", worst)
    return f"{share:.0%} other than {worst!r}" if share > s.max_disagreement else ""


Rule = Callable[[FilterInput, FilterSettings], str]

# name of the rule -> what it found, or an empty string
NEEDED: dict[str, Rule] = {
    "not_asked": _not_asked,
    "nothing_heard": _nothing_heard,
    "out_of_vocabulary": _out_of_vocabulary,
    "not_alignable": _not_alignable,
}
CHOSEN: dict[str, Rule] = {
    "too_short": _too_short,
    "no_sound": _no_sound,
    "no_speech": _no_speech,
    "loop": _loop,
    "compressible": _compressible,
    "too_fast": _too_fast,
    "unsure": _unsure,
    "disagreement": _disagreement,
}
