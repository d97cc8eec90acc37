"""The cache gives what the front end gives, to half precision, and is never half written."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from plain_sources import unperturbed
from workspace import STILL

from kd.audio.augment import AS_RECORDED
from kd.audio.frontend import make_front_end
from kd.config.frontend import AugmentSettings, FrontEndSettings
from kd.text.vocabulary import Vocabulary
from tasks.data.prepared import PreparedData
from tasks.training.feature_cache import FeatureCache, copies_of

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


def built(folder: Path, data: PreparedData, mels: int = 80, **changes: float) -> FeatureCache:
    front_end = make_front_end(FrontEndSettings(num_mels=mels))
    return FeatureCache.build(folder, unperturbed(data, data.utterances, front_end, **changes), 1, mels)


def test_gives_what_the_front_end_gives(data: PreparedData, tmp_path: Path) -> None:
    front_end, cache = make_front_end(FrontEndSettings()), built(tmp_path / "new" / "features", data, batch_seconds=0.5)
    for batch in data.batches(data.utterances, 0.8, shuffle=(1, 2)):
        features_BTF, lengths_B, speeds = cache.read(batch.indices, epoch=7)
        expected_BTF, expected_B = front_end(batch.waveform_BN, batch.lengths_B)
        assert features_BTF.dtype == torch.float32
        assert lengths_B.tolist() == expected_B.tolist()
        assert set(speeds) == {AS_RECORDED}
        torch.testing.assert_close(features_BTF, expected_BTF, atol=0.0045, rtol=0)
        for row, length in enumerate(lengths_B.tolist()):
            assert not features_BTF[row, length:].any()


def test_takes_a_whole_folder_as_it_is_and_ignores_a_part(data: PreparedData, tmp_path: Path) -> None:
    (tmp_path / ".features.partial").mkdir()
    (tmp_path / ".features.partial" / "copy-000.f16").write_bytes(b"left by a run that was killed")
    first, lengths_B, _ = built(tmp_path / "features", data, 32).read(range(6))
    assert lengths_B.tolist() == [(u.num_samples + 80) // 160 for u in data.utterances]
    assert not (tmp_path / ".features.partial").exists()
    written = (tmp_path / "features" / "copy-000.f16").stat().st_mtime_ns
    again, _, _ = built(tmp_path / "features", data, 32).read(range(6))
    assert (tmp_path / "features" / "copy-000.f16").stat().st_mtime_ns == written
    assert torch.equal(first, again)


def test_a_cache_with_a_file_that_was_cut_is_put_aside_and_made_anew(
    data: PreparedData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "features"
    whole = built(folder, data).read(range(6))[0]
    for number, name in enumerate(("copy-000.f16", "copy-000.json"), 1):
        (folder / name).write_bytes((folder / name).read_bytes()[:-2])
        assert torch.equal(built(folder, data).read(range(6))[0], whole)
        assert "put aside" in capsys.readouterr().out
        assert len(list(tmp_path.glob("features.broken*"))) == number


def test_only_the_newest_caches_stay(data: PreparedData, tmp_path: Path) -> None:
    source = unperturbed(data, data.utterances, make_front_end(FrontEndSettings(num_mels=16)))
    opened = [FeatureCache.shared(tmp_path, key, source, 1, 16) for key in "abcdef"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["d", "e", "f"]
    assert torch.equal(opened[0].read([0])[0], opened[-1].read([0])[0]), "what is in use outlives its folder"


@pytest.mark.parametrize(
    ("settings", "copies"),
    [
        (AugmentSettings(), 4),
        (AugmentSettings(copies=0), 0),
        (AugmentSettings(**STILL), 1),
        (AugmentSettings(**STILL, copies=0), 1),
        (AugmentSettings(**STILL | {"speeds": (0.9, 1.0)}, copies=0), 0),
        (AugmentSettings(**STILL | {"room_share": 0.1}, copies=3), 3),
    ],
)
def test_as_many_copies_as_differ(settings: AugmentSettings, copies: int) -> None:
    assert copies_of(settings) == copies
