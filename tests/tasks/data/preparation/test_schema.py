"""The schema refuses tables that are not what docs/architecture.md says."""

import pandas as pd
import pandera.errors
import pytest

from tasks.data.preparation.schema import check_prepared


@pytest.fixture
def folder(project):
    project.manifest(
        [{"id": f"u{i}", "path": project.record(f"{i}.wav"), "text": "one", "speaker": f"{i}"} for i in range(4)]
    )
    project.prepare()
    return project.paths.prepared


def test_what_the_stage_writes_passes(folder):
    check_prepared(folder, 16_000)
    assert pd.read_parquet(folder / "utterances.parquet").columns.tolist() == [
        *("id", "text", "speaker", "split", "offset", "num_samples", "duration_s", "audio_hash", "snr_db", "source"),
        "part",
    ]


@pytest.mark.parametrize(
    ("column", "value"),
    [("split", "dev"), ("id", "u1"), ("num_samples", 0), ("text", " one"), ("source", "/somewhere/x.wav")],
)
def test_wrong_cells_are_refused(folder, column, value):
    table = pd.read_parquet(folder / "utterances.parquet")
    table.loc[0, column] = value
    table.to_parquet(folder / "utterances.parquet")
    with pytest.raises(pandera.errors.SchemaError, match=column):
        check_prepared(folder, 16_000)


def test_gaps_and_missing_samples_are_refused(folder):
    with (folder / "audio.i16").open("ab") as audio:
        audio.write(b"\0\0")
    with pytest.raises(ValueError, match="its table speaks of"):
        check_prepared(folder, 16_000)
    table = pd.read_parquet(folder / "utterances.parquet")
    table.loc[1, "offset"] += 1
    table.to_parquet(folder / "utterances.parquet")
    with pytest.raises(ValueError, match="u1 does not begin where"):
        check_prepared(folder, 16_000)
