"""The test part under conditions: the same audio for every model, whatever else is tried."""

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from workspace import make_params, make_workspace

from kd.config.conditions import Noise, Rate
from kd.text.metrics import EDITS
from tasks.data.prepared import PreparedData
from tasks.evaluation.conditions import degraded, evenly
from tasks.params.evaluation import CONDITIONS, EvaluationParams
from tasks.runner.paths import Paths
from tasks.stages import evaluate, export

NOISE = Noise(kind="noise", snr_db=5)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    return make_workspace(tmp_path_factory.mktemp("conditions"))


@pytest.fixture(scope="module")
def data(paths: Paths) -> PreparedData:
    return PreparedData.load(paths.prepared)


def test_utterances_are_spread_evenly(data: PreparedData) -> None:
    test = data.split("test")
    assert evenly(test, 10_000) == test
    assert evenly(test, 1) == test[:1]
    three = [test.index(u) for u in evenly(test, 3)]
    assert three == [0, round((len(test) - 1) / 2), len(test) - 1]


def test_what_is_heard_depends_on_the_audio_and_the_seed_alone(data: PreparedData) -> None:
    first, *rest = data.split("test")[:4]
    alone, among = degraded(data, [first], NOISE, 1), degraded(data, [*rest, first], NOISE, 1)
    assert np.array_equal(alone.waveform(alone.utterances[0]), among.waveform(among.utterances[-1]))
    other = degraded(data, [first], NOISE, 2)
    assert not np.array_equal(alone.waveform(alone.utterances[0]), other.waveform(other.utterances[0]))


def test_every_utterance_is_found_again_at_its_new_length(data: PreparedData) -> None:
    chosen = data.split("test")[:3]
    faster = degraded(data, chosen, Rate(kind="rate", factor=1.25), 1)
    assert [u.id for u in faster.utterances] == [u.id for u in chosen]
    assert [u.num_samples for u in faster.utterances] == [-(-u.num_samples * 4 // 5) for u in chosen]
    assert sum(u.num_samples for u in faster.utterances) == len(faster.audio)
    batch = next(faster.batches(faster.utterances, 60))
    assert batch.lengths_B.max() == max(u.num_samples for u in faster.utterances)


def test_the_table_has_every_condition_and_the_right_errors(paths: Paths) -> None:
    params = make_params(evaluation={"condition_utterances": 3, "timing_utterances": 5})
    export.run(params, paths, "teacher")
    metrics = evaluate.run(params, paths, "teacher")
    table = pd.read_parquet(paths.evaluation("teacher") / "conditions.parquet")
    clean = pd.read_parquet(paths.evaluation("teacher") / "utterances.parquet").set_index("id")
    assert table["condition"].unique().tolist() == [c.name for c in CONDITIONS]
    assert (table.groupby("condition").size() == 3).all()
    for row in table.itertuples():
        reference = clean.loc[row.id, "reference"]
        assert row.errors == EDITS["transcription"](reference, row.hypothesis).errors
    assert sorted(table["snr_db"].dropna().unique()) == [0, 10, 20]
    telephone = table[table["condition"] == "telephone"]
    assert metrics["test_error/telephone"] == telephone["errors"].sum() / telephone["reference_units"].sum()


def test_nothing_is_tried_where_nothing_is_asked(paths: Paths) -> None:
    params = make_params(evaluation={"conditions": [], "timing_utterances": 5})
    export.run(params, paths, "baseline")
    evaluate.run(params, paths, "baseline")
    assert pd.read_parquet(paths.evaluation("baseline") / "conditions.parquet").empty


def test_the_same_condition_twice_is_refused() -> None:
    with pytest.raises(ValidationError, match="pink noise at 5 dB more than once"):
        EvaluationParams(conditions=(NOISE, NOISE))
