"""What another recogniser hears in the test part becomes the table that the report reads."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from workspace import make_params, make_workspace

from tasks import others
from tasks.data import PreparedData
from tasks.listeners import Clip, Transcription
from tasks.others import write_heard
from tasks.params.teachers import WhisperTeacher
from tasks.reporting.extras import read_hypotheses
from tasks.watch import Silent, Watch

SETTINGS = WhisperTeacher(source="whisper", path=Path("any"), min_seconds=0.0)


class Parrot:
    """Says the clip's name and length, nothing for the second clip; counts what it is asked."""

    identity = "parrot"
    asked = 0

    def __init__(self, settings: WhisperTeacher, root: Path) -> None:
        pass

    def listen(self, clips: Sequence[Clip], watch: Watch) -> Iterator[tuple[str, Transcription]]:
        for i, clip in enumerate(clips):
            Parrot.asked += 1
            said = f"{clip.id}, {len(clip.waveform_N)}"
            yield clip.id, Transcription((), refused="too short") if i == 1 else Transcription(((said, 1.0),))


def test_each_test_utterance_has_a_row_and_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(others.LISTENERS, "whisper", Parrot)
    paths = make_workspace(tmp_path)
    test = PreparedData.load(paths.prepared).split("test")
    file = tmp_path / "others" / "parrot.csv"
    for _ in range(2):
        assert write_heard(make_params(), SETTINGS, paths, file, Silent()) == len(test)
    texts = read_hypotheses(file, [u.id for u in test])
    expected = [f"{u.id}, {u.num_samples}" for u in test]
    expected[1] = ""
    assert texts == expected
    assert Parrot.asked == len(test)
