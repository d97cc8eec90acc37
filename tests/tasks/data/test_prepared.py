"""Prepared data: what comes out equals what was written, each utterance once, alike for one process and several."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kd.text.vocabulary import Vocabulary
from tasks.data.prepared import Batch, PreparedData, plan

RATE = 8_000
TEXTS = ("one", "two", "one two", "", "two one", "one one", "two", "one", "two two", "one")


@pytest.fixture
def samples() -> list[np.ndarray]:
    rng = np.random.default_rng(7)
    return [rng.integers(-32_768, 32_768, n).astype("<i2") for n in rng.integers(800, 9_000, len(TEXTS))]


@pytest.fixture
def folder(tmp_path: Path, samples: list[np.ndarray]) -> Path:
    sizes = [len(s) for s in samples]
    table = pd.DataFrame(
        {
            "id": [f"u{i}" for i in range(len(TEXTS))],
            "text": TEXTS,
            "speaker": ["ann", None] * 5,
            "split": ["train"] * 8 + ["valid", "test"],
            "offset": np.cumsum([0, *sizes[:-1]]),
            "num_samples": sizes,
            "duration_s": [n / RATE for n in sizes],
            "audio_hash": [f"{i:x}" for i in range(len(TEXTS))],
            "snr_db": [10.0, float("nan")] * 5,
            "source": "x.wav",
            "part": "all",
        }
    )
    table.to_parquet(tmp_path / "utterances.parquet")
    np.concatenate(samples).tofile(tmp_path / "audio.i16")
    description = {"sample_rate_hz": RATE, "vocabulary": Vocabulary.characters(" enotw").to_dict()}
    (tmp_path / "prepared.json").write_text(json.dumps(description))
    return tmp_path


def flat(batches: list[Batch]) -> list[str]:
    return [name for batch in batches for name in batch.ids]


def test_reads_back_what_was_written(folder: Path, samples: list[np.ndarray]) -> None:
    data = PreparedData.load(folder, sample_rate_hz=RATE)
    assert [u.text for u in data.split("train")] == list(TEXTS[:8])
    assert [u.id for u in data.split("test")] == ["u9"]
    first, second = data.utterances[:2]
    assert (first.speaker, first.snr_db, second.speaker, second.snr_db) == ("ann", 10.0, None, None)
    for utterance, expected in zip(data.utterances, samples, strict=True):
        assert np.array_equal(data.waveform(utterance) * 32_768, expected)
        assert data.vocabulary.decode(utterance.units) == utterance.text


def test_a_batch_holds_each_utterance_and_zeros(folder: Path) -> None:
    data = PreparedData.load(folder)
    utterances = data.split("train")
    (batch,) = data.batches(utterances, 100.0)
    assert batch.lengths_B.tolist() == sorted((u.num_samples for u in utterances), reverse=True)
    assert (batch.waveform_BN.dtype, batch.targets_BL.dtype) == (torch.float32, torch.int64)
    for row, index in enumerate(batch.indices):
        utterance = utterances[index]
        assert batch.ids[row] == utterance.id
        length, units = int(batch.lengths_B[row]), int(batch.target_lengths_B[row])
        assert np.array_equal(batch.waveform_BN[row, :length].numpy(), data.waveform(utterance))
        assert not batch.waveform_BN[row, length:].any()
        assert tuple(batch.targets_BL[row, :units].tolist()) == utterance.units
        assert not batch.targets_BL[row, units:].any()


def test_audio_is_read_when_somebody_asks_for_it(folder: Path) -> None:
    """A training on kept features never does."""
    data = PreparedData.load(folder)
    (batch,) = data.batches(data.split("train"), 100.0)
    unread = replace(data, audio=data.audio[:0])
    (other,) = unread.batches(unread.split("train"), 100.0)
    assert other.lengths_B.tolist() == batch.lengths_B.tolist()
    assert other.targets_BL.equal(batch.targets_BL)
    assert batch.waveform_BN is batch.waveform_BN
    with pytest.raises(RuntimeError):
        _ = other.waveform_BN


@pytest.mark.parametrize("shuffle", [None, (1, 0), (1, 5)])
@pytest.mark.parametrize("world_size", [2, 3])
def test_several_processes_have_exactly_one_process_batches(
    folder: Path, world_size: int, shuffle: tuple[int, int] | None
) -> None:
    data = PreparedData.load(folder)
    utterances = data.split("train")
    whole = list(data.batches(utterances, 4.0, shuffle=shuffle))
    assert len(whole) == 2
    shares = [
        list(data.batches(utterances, 4.0, shuffle=shuffle, rank=rank, world_size=world_size))
        for rank in range(world_size)
    ]
    for step, batch in enumerate(whole):
        parts = [own[step] for own in shares]
        sizes = [len(part.ids) for part in parts]
        assert max(sizes) - min(sizes) <= 1
        for row in range(len(batch.ids)):
            part, its_row = parts[row % world_size], row // world_size
            length = int(batch.lengths_B[row])
            assert part.indices[its_row] == batch.indices[row]
            assert torch.equal(part.waveform_BN[its_row, :length], batch.waveform_BN[row, :length])


def test_shuffling_is_drawn_from_seed_and_epoch(folder: Path) -> None:
    data = PreparedData.load(folder)
    utterances = data.split("train")

    def order(seed: int, epoch: int) -> list[str]:
        return flat(list(data.batches(utterances, 0.5, shuffle=(seed, epoch))))

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)
    assert sorted(order(1, 0)) == sorted(u.id for u in utterances)


lengths_of_utterances = st.lists(st.integers(1, 500), min_size=4, max_size=60)


@given(
    lengths=lengths_of_utterances,
    limit=st.integers(50, 2_000),
    at_least=st.integers(1, 4),
    shuffle=st.none() | st.tuples(st.integers(0, 9), st.integers(0, 9)),
)
def test_plan_drops_nothing_and_keeps_its_size(
    lengths: list[int], limit: int, at_least: int, shuffle: tuple[int, int] | None
) -> None:
    batches = plan(lengths, limit, shuffle=shuffle, at_least=at_least)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert min(len(batch) for batch in batches) >= at_least
    assert len(batches) == len(plan(lengths, limit, at_least=at_least))


@given(lengths=lengths_of_utterances, limit=st.integers(50, 2_000))
def test_plan_keeps_to_its_limit(lengths: list[int], limit: int) -> None:
    for batch in plan(lengths, limit):
        assert sum(lengths[i] for i in batch) <= limit + max(lengths)


def test_plan_wastes_little_on_padding() -> None:
    lengths = np.random.default_rng(0).integers(8_000, 80_000, 2_000).tolist()
    for epoch in range(3):
        batches = plan(lengths, 60 * 16_000, shuffle=(1, epoch))
        padded = sum(len(batch) * max(lengths[i] for i in batch) for batch in batches)
        assert padded < 1.15 * sum(lengths)


def test_says_which_file_is_missing(folder: Path) -> None:
    (folder / "audio.i16").unlink()
    with pytest.raises(ValueError, match=r"audio\.i16 is missing\. Run the stage preprocess"):
        PreparedData.load(folder)
    with pytest.raises(ValueError, match=r"prepared\.json is missing"):
        PreparedData.load(folder / "nowhere")


def test_refuses_another_rate(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"at 8000 Hz, but the front end expects 16000 Hz"):
        PreparedData.load(folder, sample_rate_hz=16_000)


def test_refuses_truncated_audio(folder: Path) -> None:
    audio = folder / "audio.i16"
    audio.write_bytes(audio.read_bytes()[:-2])
    with pytest.raises(ValueError, match=r"has \d+ bytes, but its table of 10 utterances needs"):
        PreparedData.load(folder)


def change(folder: Path, column: str, row: int, value: object) -> None:
    table = pd.read_parquet(folder / "utterances.parquet")
    table.loc[row, column] = value
    table.to_parquet(folder / "utterances.parquet")


def test_refuses_an_utterance_outside_the_audio(folder: Path) -> None:
    change(folder, "offset", 3, 10**9)
    with pytest.raises(ValueError, match=r"utterance u3 should be .* not within"):
        PreparedData.load(folder)


def test_names_the_utterance_with_an_unknown_character(folder: Path) -> None:
    change(folder, "text", 2, "zwei")
    with pytest.raises(ValueError, match="utterance u2: unknown character 'z', 'i'"):
        PreparedData.load(folder)


def test_refuses_a_table_without_rows_or_columns(folder: Path) -> None:
    table = pd.read_parquet(folder / "utterances.parquet")
    table.iloc[:0].to_parquet(folder / "utterances.parquet")
    with pytest.raises(ValueError, match=r"no utterance\. See quarantine\.csv"):
        PreparedData.load(folder)
    table.drop(columns=["offset", "text"]).to_parquet(folder / "utterances.parquet")
    with pytest.raises(ValueError, match="no column text, offset"):
        PreparedData.load(folder)


def test_names_the_splits_there_are(folder: Path) -> None:
    with pytest.raises(ValueError, match="no utterance of split 'dev'; it has test, train, valid"):
        PreparedData.load(folder).split("dev")


def test_refuses_a_wrong_share(folder: Path) -> None:
    data = PreparedData.load(folder)
    with pytest.raises(ValueError, match="rank 2 is not one of the 2 processes"):
        next(data.batches(data.utterances, 1.0, rank=2, world_size=2))
    with pytest.raises(ValueError, match="1 utterances cannot be shared among 2 processes"):
        next(data.batches(data.split("test"), 1.0, rank=1, world_size=2))
