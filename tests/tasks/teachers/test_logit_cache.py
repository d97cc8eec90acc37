"""A store of outputs: found by their keys, whole after a kill, the same bytes for the same outputs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from kd.teachers.codec import Codec
from tasks.teachers.logit_cache import FRAMES_FILE, INDEX_FILE, Key, LogitCache

CODEC = Codec(5, 5)
LENGTHS = (4, 1, 7, 3)
KEYS = [Key(f"{i:032x}", view, "teacher") for view in ("clean", "speed 9/10") for i in range(len(LENGTHS))]


def output(key: Key) -> Tensor:
    """Another one for each key."""
    number = KEYS.index(key)
    generator = torch.Generator().manual_seed(number)
    return 3 * torch.randn(LENGTHS[number % len(LENGTHS)], 5, generator=generator)


def outputs(keys: list[Key]) -> Iterator[tuple[Key, Tensor]]:
    return ((key, output(key)) for key in keys)


def filled(folder: Path, keys: list[Key] = KEYS) -> LogitCache:
    store = LogitCache.to_fill(folder, CODEC)
    store.add(outputs([key for key in keys if key not in store]))
    return store


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def holds(store: LogitCache, keys: list[Key]) -> None:
    """Exactly these, each as it was given."""
    assert set(store.places) == set(keys)
    log_probs_BTV, lengths_B = store.read(keys)
    for key, log_probs, length in zip(keys, log_probs_BTV, lengths_B.tolist(), strict=True):
        assert length == len(output(key))
        torch.testing.assert_close(log_probs[:length], output(key).log_softmax(-1), atol=4e-3, rtol=0)
    assert log_probs_BTV.isfinite().all()


def test_outputs_are_found_by_their_keys_in_any_order(tmp_path: Path) -> None:
    filled(tmp_path / "s")
    store = LogitCache(tmp_path / "s")
    for keys in (KEYS, KEYS[::-1]):
        holds(store, keys)
    alone, length = store.read([KEYS[2], KEYS[2]])
    assert torch.equal(alone[0], alone[1])
    assert length.tolist() == [7, 7]
    assert store.num_bytes == (tmp_path / "s" / FRAMES_FILE).stat().st_size == 2 * 5 * 2 * sum(LENGTHS)


@pytest.mark.parametrize("cut", ["nothing", "a frame without its line", "half a frame", "half a line"])
def test_a_pass_that_was_killed_goes_on_as_if_it_had_not(tmp_path: Path, cut: str) -> None:
    filled(tmp_path / "whole")
    filled(tmp_path / "killed", KEYS[:3])
    frames, index = tmp_path / "killed" / FRAMES_FILE, tmp_path / "killed" / INDEX_FILE
    if cut == "half a line":
        index.write_bytes(index.read_bytes() + b"0000,clean,teac")
    elif cut != "nothing":
        frames.write_bytes(frames.read_bytes() + b"\1" * (10 if cut.startswith("a frame") else 3))
    store = LogitCache.to_fill(tmp_path / "killed", CODEC)
    holds(store, KEYS[:3])
    filled(tmp_path / "killed")
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


def test_outputs_are_kept_as_soon_as_they_come(tmp_path: Path) -> None:
    """A pass that ends in the middle of its work leaves what it had done."""

    def interrupted() -> Iterator[tuple[Key, Tensor]]:
        yield from outputs(KEYS[:2])
        raise KeyboardInterrupt

    store = LogitCache.to_fill(tmp_path / "s", CODEC)
    with pytest.raises(KeyboardInterrupt):
        store.add(interrupted())
    holds(LogitCache(tmp_path / "s"), KEYS[:2])


def test_a_copy_has_the_order_asked_for_whatever_the_history(tmp_path: Path) -> None:
    filled(tmp_path / "once")
    for keys in (KEYS[5:], KEYS[:2], KEYS):
        grown = filled(tmp_path / "grown", keys)
    copies = [s.copy(KEYS[1:], tmp_path / f"copy-{i}") for i, s in enumerate((LogitCache(tmp_path / "once"), grown))]
    for copy in copies:
        holds(copy, KEYS[1:])
    assert files(copies[0].folder) == files(copies[1].folder)
    again = LogitCache(tmp_path / "once").copy([KEYS[0], KEYS[0]], copies[0].folder)
    holds(again, KEYS[:1])


def test_another_form_begins_anew(tmp_path: Path) -> None:
    filled(tmp_path / "s")
    assert len(LogitCache.to_fill(tmp_path / "s", Codec(5, 1))) == 0
    empty = LogitCache.to_fill(tmp_path / "s", Codec(5, 1)).copy([], tmp_path / "t")
    assert (len(empty), empty.num_bytes) == (0, 0)


def test_what_is_missing_or_broken_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"s holds no teacher's outputs: store\.json is missing"):
        LogitCache(tmp_path / "s")
    store = filled(tmp_path / "s", KEYS[:2])
    with pytest.raises(ValueError, match=r"lacks the outputs of 1 of 2 utterances, first Key\(audio='0+2'"):
        store.read(KEYS[1:3])
    (tmp_path / "s" / FRAMES_FILE).write_bytes(b"1234567890")
    with pytest.raises(ValueError, match=r"frames\.bin holds 1 frames, but index\.csv names 5.*delete the folder"):
        LogitCache(tmp_path / "s")
    holds(filled(tmp_path / "s"), KEYS)
