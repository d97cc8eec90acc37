"""Where models err, counted by hand; audio in the page, decoded again."""

import base64
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from report_models import make_model
from workspace import make_workspace

from tasks.reporting.breakdown import Breakdown, breakdowns, lost_words
from tasks.reporting.clips import clips
from tasks.reporting.results import Model
from tasks.reporting.transcripts import most_disputed

ONE = make_model("one", "teacher", [0, 2, 0, 4])
OTHER = make_model("other", "student", [1, 1, 3, 3])


def with_columns(model: Model, **columns: list[object]) -> Model:
    return replace(model, utterances=model.utterances.assign(**columns))


def find(title: str, *models: Model) -> Breakdown:
    return next(b for b in breakdowns(models, models[-1].name) if b.title == title)


def test_speakers_come_hardest_first_with_every_models_error() -> None:
    two = [with_columns(m, speaker=["a", "a", "b", "b"]) for m in (ONE, OTHER)]
    groups = find("By speaker", *two).groups
    assert [(g.name, g.count, g.errors) for g in groups] == [("b", 2, (0.2, 0.3)), ("a", 2, (0.1, 0.1))]


def test_lengths_are_parted_into_thirds_in_their_order() -> None:
    durations = [float(i) for i in range(1, 10)]
    model = with_columns(make_model("m", "teacher", [0] * 8 + [9]), duration_s=durations)
    groups = find("By length", model).groups
    assert [g.count for g in groups] == [3, 3, 3]
    assert [g.name for g in groups] == ["up to 3.7 s", "3.7 to 6.3 s", "over 6.3 s"]
    assert [g.errors for g in groups] == [(0.0,), (0.0,), (0.3,)]


def test_unknown_noise_stands_apart() -> None:
    model = with_columns(make_model("m", "teacher", [1, 0, 0, 5]), snr_db=[0.0, 10.0, 20.0, float("nan")])
    groups = find("By noise", model).groups
    assert [(g.name, g.errors) for g in groups][-1] == ("no level known", (0.5,))
    assert sum(g.count for g in groups) == 4
    assert groups[0].errors == (0.1,)


def test_what_cannot_be_broken_down_is_left_out() -> None:
    titles = [b.title for b in breakdowns([with_columns(ONE, duration_s=[2.0] * 4, speaker=["a"] * 4)], "one")]
    assert titles == ["Words most often lost"]


def test_lost_words_are_those_left_out_or_mistaken_and_not_those_added() -> None:
    texts = {"reference": ["go on now", "go"], "hypothesis": ["so on", "go go"]}
    model = with_columns(make_model("m", "teacher", [2, 1]), **texts)
    assert lost_words(model) == {"go": 1, "now": 1}
    groups = find("Words most often lost", model).groups
    assert [(g.name, g.count, g.errors) for g in groups] == [("go", 2, (0.5,)), ("now", 1, (1.0,))]


def test_a_keyword_is_lost_as_a_whole() -> None:
    texts = {"reference": ["turn on", "turn on"], "hypothesis": ["turn off", "turn on"]}
    model = with_columns(make_model("m", "teacher", [1, 0], kind="keyword_error"), **texts)
    assert lost_words(model) == {"turn on": 1}


def test_disputed_utterances_can_be_those_of_two_models_alone() -> None:
    third = make_model("third", "student", [9, 0, 0, 0])
    assert most_disputed([ONE, OTHER, third], 1)[0].id == "u0"
    assert most_disputed([ONE, OTHER, third], 1, {"one", "other"})[0].id == "u2"


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    return make_workspace(tmp_path).prepared


def test_audio_is_that_of_the_utterance(prepared: Path) -> None:
    table = pd.read_parquet(prepared / "utterances.parquet").set_index("id")
    name = "utterance-05"
    uri = clips(prepared, [name])[name]
    assert uri.startswith("data:audio/flac;base64,")
    heard, rate_hz = soundfile.read(io.BytesIO(base64.b64decode(uri.partition(",")[2])), dtype="int16")
    audio = np.fromfile(prepared / "audio.i16", "<i2")
    start, count = table.loc[name, ["offset", "num_samples"]]
    assert rate_hz == 8_000
    assert np.array_equal(heard, audio[start : start + count])
    assert clips(prepared, [name])[name] == uri


def test_long_audio_is_cut(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.reporting.clips.LONGEST_S", 0.1)
    uri = clips(prepared, ["utterance-05"])["utterance-05"]
    assert len(soundfile.read(io.BytesIO(base64.b64decode(uri.partition(",")[2])))[0]) == 800
