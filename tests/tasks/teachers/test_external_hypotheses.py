"""What another recogniser transcribes of the test part becomes the table that the report reads."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from workspace import make_params, make_workspace

from tasks.data.prepared import PreparedData
from tasks.params.teachers import WhisperTeacher
from tasks.reporting.extras import read_hypotheses
from tasks.runner.reporter import NullReporter, Reporter
from tasks.teachers import external_hypotheses
from tasks.teachers.external_hypotheses import write_hypotheses
from tasks.teachers.transcribers import Clip, TranscriberOutput

SETTINGS = WhisperTeacher(source="whisper", path=Path("any"), min_seconds=0.0)


class Parrot:
    """Says the clip's name and length, nothing for the second clip; counts what it is asked."""

    identity = "parrot"
    asked = 0

    def __init__(self, settings: WhisperTeacher, root: Path) -> None:
        pass

    def transcribe(self, clips: Sequence[Clip], reporter: Reporter) -> Iterator[tuple[str, TranscriberOutput]]:
        for i, clip in enumerate(clips):
            Parrot.asked += 1
            said = f"{clip.id}, {len(clip.waveform_N)}"
            yield clip.id, TranscriberOutput((), refused="too short") if i == 1 else TranscriberOutput(((said, 1.0),))


def test_each_test_utterance_has_a_row_and_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(external_hypotheses.TRANSCRIBERS, "whisper", Parrot)
    paths = make_workspace(tmp_path)
    test = PreparedData.load(paths.prepared).split("test")
    file = tmp_path / "external" / "parrot.csv"
    for _ in range(2):
        assert write_hypotheses(make_params(), SETTINGS, paths, file, NullReporter()) == len(test)
    texts = read_hypotheses(file, [u.id for u in test])
    expected = [f"{u.id}, {u.num_samples}" for u in test]
    expected[1] = ""
    assert texts == expected
    assert Parrot.asked == len(test)
