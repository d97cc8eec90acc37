"""The same audio is not transcribed twice by the same recogniser, and a killed pass goes on."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from clips import make_clip

from tasks.runner.reporter import NullReporter, Reporter
from tasks.teachers.transcribers import Clip, TranscriberOutput
from tasks.teachers.transcribers.cache import transcribe_once


class Counting:
    """Says each clip's length, and keeps what it was asked; may be killed after some clips."""

    def __init__(self, identity: str | None = "counting", dies_after: int | None = None) -> None:
        self.identity, self.dies_after = identity, dies_after
        self.asked: list[str] = []

    def transcribe(self, clips: Sequence[Clip], reporter: Reporter) -> Iterator[tuple[str, TranscriberOutput]]:
        for clip in clips:
            if len(self.asked) == self.dies_after:
                raise KeyboardInterrupt
            self.asked.append(clip.id)
            yield clip.id, TranscriberOutput(((f"{clip.seconds:g}\u2028 ü", 1.0),), 0.5, 0.1)


def test_what_was_transcribed_before_is_not_asked_again(tmp_path: Path, clips: list[Clip]) -> None:
    first, second = Counting(), Counting()
    found = transcribe_once(first, clips[:2], tmp_path, NullReporter())
    renamed = [make_clip("other name", clips[0].waveform_N), clips[2]]
    again = transcribe_once(second, renamed, tmp_path, NullReporter())
    assert second.asked == ["c"]
    assert again["other name"] == found["a"]
    assert transcribe_once(Counting(), clips, tmp_path, NullReporter()) == {**found, "c": again["c"]}


def test_another_recogniser_rate_or_speed_is_asked_anew(tmp_path: Path, clips: list[Clip]) -> None:
    transcribe_once(Counting(), clips[:1], tmp_path, NullReporter())
    other, same = Counting("other"), Counting()
    transcribe_once(other, clips[:1], tmp_path, NullReporter())
    transcribe_once(same, [make_clip("a", clips[0].waveform_N, 8_000)], tmp_path, NullReporter())
    assert (other.asked, same.asked) == (["a"], ["a"])


def test_a_killed_pass_goes_on_even_where_its_last_line_is_cut(tmp_path: Path, clips: list[Clip]) -> None:
    with pytest.raises(KeyboardInterrupt):
        transcribe_once(Counting(dies_after=2), clips, tmp_path, NullReporter())
    file = tmp_path / "counting.jsonl"
    assert len(file.read_text().split()) > 2
    file.write_bytes(file.read_bytes()[:-9])
    second = Counting()
    found = transcribe_once(second, clips, tmp_path, NullReporter())
    assert second.asked == ["b", "c"]
    assert found["b"].texts[0][0] == "0.525\u2028 ü"
    third = Counting()
    assert transcribe_once(third, clips, tmp_path, NullReporter()) == found
    assert third.asked == []


def test_what_has_no_identity_is_never_kept(tmp_path: Path, clips: list[Clip]) -> None:
    for _ in range(2):
        transcriber = Counting(identity=None)
        transcribe_once(transcriber, clips, tmp_path, NullReporter())
        assert transcriber.asked == ["a", "b", "c"]
    assert not list(tmp_path.iterdir())
