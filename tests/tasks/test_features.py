"""The cache gives what the front end gives, to half precision, and is never half written."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from kd.frontend import LogMel
from kd.settings.frontend import AugmentSettings, FrontEndSettings
from kd.text import Vocabulary
from tasks.data import PreparedData
from tasks.features import FeatureCache, cacheable

RATE = 16_000


@pytest.fixture
def data(tmp_path: Path) -> PreparedData:
    rng = np.random.default_rng(3)
    sizes = rng.integers(1_000, 9_000, 6)
    samples = rng.standard_normal(sizes.sum()) * np.linspace(1, 9_000, sizes.sum())
    samples.clip(-32_768, 32_767).astype("<i2").tofile(tmp_path / "audio.i16")
    table = pd.DataFrame({"id": [f"u{i}" for i in range(6)], "num_samples": sizes})
    table["offset"] = table["num_samples"].cumsum() - table["num_samples"]
    constant = {"text": "a", "speaker": "s", "split": "train", "audio_hash": "0", "snr_db": float("nan")}
    constant |= {"source": "a.wav", "part": "all"}
    table.assign(**constant).to_parquet(tmp_path / "utterances.parquet")
    description = {"sample_rate_hz": RATE, "vocabulary": Vocabulary.characters("a").to_dict()}
    (tmp_path / "prepared.json").write_text(json.dumps(description))
    return PreparedData.load(tmp_path)


def test_gives_what_the_front_end_gives(data: PreparedData, tmp_path: Path) -> None:
    front_end, utterances = LogMel(FrontEndSettings()), data.utterances[1:]
    cache = FeatureCache.build(tmp_path / "new" / "features.f16", data, utterances, front_end, batch_seconds=0.5)
    for batch in data.batches(utterances, 0.8, shuffle=(1, 2)):
        features_BTF, lengths_B = cache.read(batch.indices)
        expected_BTF, expected_B = front_end(batch.waveform_BN, batch.lengths_B)
        assert features_BTF.dtype == torch.float32
        assert lengths_B.tolist() == expected_B.tolist()
        torch.testing.assert_close(features_BTF, expected_BTF, atol=0.0045, rtol=0)
        for row, length in enumerate(lengths_B.tolist()):
            assert not features_BTF[row, length:].any()


def test_takes_a_whole_file_as_it_is_and_ignores_a_part(data: PreparedData, tmp_path: Path) -> None:
    file, front_end = tmp_path / "features.f16", LogMel(FrontEndSettings(num_mels=32))
    (tmp_path / "features.f16.part").write_bytes(b"left by a run that was killed")
    first, lengths_B = FeatureCache.build(file, data, data.utterances, front_end).read(range(6))
    assert lengths_B.tolist() == [(u.num_samples + 80) // 160 for u in data.utterances]
    assert [f.name for f in tmp_path.glob("features*")] == ["features.f16"]
    written = file.stat().st_mtime_ns
    again, _ = FeatureCache.build(file, data, data.utterances, front_end).read(range(6))
    assert file.stat().st_mtime_ns == written
    assert torch.equal(first, again)


def test_refuses_the_file_of_other_utterances(data: PreparedData, tmp_path: Path) -> None:
    file, front_end = tmp_path / "features.f16", LogMel(FrontEndSettings())
    FeatureCache.build(file, data, data.utterances, front_end)
    with pytest.raises(ValueError, match=r"but 5 utterances need \d+\. .*delete it"):
        FeatureCache.build(file, data, data.utterances[1:], front_end)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (AugmentSettings(), True),
        (AugmentSettings(speeds=(1.0,)), True),
        (AugmentSettings(speeds=(0.9, 1.0)), False),
        (AugmentSettings(noise_share=0.1), False),
    ],
)
def test_only_an_unchanged_waveform_is_cached(settings: AugmentSettings, expected: bool) -> None:
    assert cacheable(settings) is expected
