"""Transcripts as text, JSON, SubRip or WebVTT."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

from kd.runtime.words import Word

LINE = 42  # characters; a subtitle has two lines
LONGEST_S = 6.0
PAUSE_S = 1.0


@dataclass(frozen=True)
class Transcript:
    """What was said in one file; duration_s, and the times of words, in seconds from its start."""

    file: str
    duration_s: float
    words: tuple[Word, ...]

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)


def as_json(transcript: Transcript) -> str:
    """One line."""
    found = {"file": transcript.file, "duration_s": round(transcript.duration_s, 3), "text": transcript.text}
    return json.dumps({**found, "words": [asdict(word) for word in transcript.words]}, ensure_ascii=False)


def as_srt(transcript: Transcript) -> str:
    """Numbered subtitles of at most two lines."""
    cues = enumerate(subtitles(transcript.words), 1)
    return "\n".join(f"{number}\n{_span(cue, ',')}\n{_lines(cue)}\n" for number, cue in cues)


def as_vtt(transcript: Transcript) -> str:
    """Each word after its first carries its own time, as karaoke players read it."""
    cues = (f"{_span(cue, '.')}\n{_timed(cue)}\n" for cue in subtitles(transcript.words))
    return "\n".join(("WEBVTT\n", *cues))


FORMATS: dict[str, Callable[[Transcript], str]] = {
    "text": lambda transcript: transcript.text,
    "json": as_json,
    "srt": as_srt,
    "vtt": as_vtt,
}
SUFFIXES = {"text": ".txt", "json": ".json", "srt": ".srt", "vtt": ".vtt"}


def subtitles(words: Sequence[Word]) -> Iterator[tuple[Word, ...]]:
    """Words that are shown together: at most two lines and LONGEST_S, and no pause of PAUSE_S within."""
    shown: list[Word] = []
    for word in words:
        letters = sum(len(other.text) + 1 for other in shown) + len(word.text)
        if shown and (
            letters > 2 * LINE or word.end_s - shown[0].start_s > LONGEST_S or word.start_s - shown[-1].end_s >= PAUSE_S
        ):
            yield tuple(shown)
            shown = []
        shown.append(word)
    if shown:
        yield tuple(shown)


def _span(cue: Sequence[Word], mark: str) -> str:
    return f"{_clock(cue[0].start_s, mark)} --> {_clock(cue[-1].end_s, mark)}"


def _clock(time_s: float, mark: str) -> str:
    total_ms = round(time_s * 1000)
    hours, rest = divmod(total_ms, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}{mark}{rest % 1000:03d}"


def _lines(cue: Sequence[Word]) -> str:
    """One line, or two where one would be too long."""
    text = " ".join(word.text for word in cue)
    if len(text) <= LINE:
        return text
    breaks = [i for i, letter in enumerate(text) if letter == " "]
    middle = min(breaks, key=lambda i: abs(2 * i - len(text)), default=None)
    return text if middle is None else f"{text[:middle]}\n{text[middle + 1 :]}"


def _timed(cue: Sequence[Word]) -> str:
    escaped = [word.text.replace("&", "&amp;").replace("<", "&lt;") for word in cue]
    later = (f"<{_clock(word.start_s, '.')}>{text}" for word, text in zip(cue[1:], escaped[1:], strict=True))
    return " ".join((escaped[0], *later))
