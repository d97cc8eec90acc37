"""What a table of prepared utterances must be; checked at the end of the stage, and by tests."""

from pathlib import Path

import pandas as pd
import pandera.pandas as pa
import pyarrow.parquet as pq

from tasks.data.corpora.raw import SPLITS

UTTERANCES = pa.DataFrameSchema(
    {
        "id": pa.Column(str, pa.Check.str_length(min_value=1), unique=True),
        "text": pa.Column(str, pa.Check.str_matches(r"^\S(.*\S)?$"), nullable=True),
        "speaker": pa.Column(str, nullable=True),
        "split": pa.Column(str, pa.Check.isin(SPLITS)),
        "offset": pa.Column("int64", pa.Check.ge(0)),
        "num_samples": pa.Column("int64", pa.Check.gt(0)),
        "duration_s": pa.Column("float64", pa.Check.gt(0)),
        "audio_hash": pa.Column(str, pa.Check.str_matches(r"^[0-9a-f]{32}$"), unique=True),
        "snr_db": pa.Column("float64", nullable=True),
        "source": pa.Column(str, pa.Check(lambda paths: ~paths.str.startswith(("/", "../")), name="within the root")),
        "part": pa.Column(str),
    },
    strict=True,
    ordered=True,
)


def check_prepared(folder: Path, sample_rate_hz: int) -> None:
    """Raises pandera's SchemaError, or ValueError where table and audio do not fit each other."""
    end = 0
    with pq.ParquetFile(folder / "utterances.parquet") as table:
        for batch in table.iter_batches(4096):
            rows = UTTERANCES.validate(batch.to_pandas())
            end = _check_offsets(rows, end, sample_rate_hz)
    size = (folder / "audio.i16").stat().st_size
    if size != 2 * end:
        raise ValueError(f"{folder}/audio.i16 has {size} bytes; its table speaks of {end} samples of 2 bytes")


def _check_offsets(rows: pd.DataFrame, start: int, sample_rate_hz: int) -> int:
    """Utterances lie one after another from `start`; returns where the last ends."""
    ends = start + rows["num_samples"].cumsum()
    wrong = rows.loc[rows["offset"] != ends - rows["num_samples"], "id"]
    if len(wrong):
        raise ValueError(f"utterance {wrong.iloc[0]} does not begin where the one before it ends")
    off = rows.loc[(rows["duration_s"] - rows["num_samples"] / sample_rate_hz).abs() > 1e-6, "id"]
    if len(off):
        raise ValueError(f"the duration of utterance {off.iloc[0]} is not that of its samples")
    return int(ends.iloc[-1])
