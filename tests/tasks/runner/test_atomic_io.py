"""Outputs are whole or absent."""

import errno

import pytest

from tasks.runner.atomic_io import fresh_folder


def test_takes_the_place_of_what_was_there(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").touch()
    with fresh_folder(target) as folder:
        (folder / "new").touch()
        assert (target / "old").exists()
    assert [f.name for f in target.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_leaves_the_old_and_says_so(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").touch()

    def write_until_full() -> None:
        with fresh_folder(target) as folder:
            (folder / "new").touch()
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match=r"no space left for .*out.*Free some"):
        write_until_full()
    assert [f.name for f in target.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [target]


def test_leftovers_of_a_killed_run_are_cleared(tmp_path):
    (tmp_path / ".out.partial").mkdir()
    (tmp_path / ".out.partial" / "half").touch()
    with fresh_folder(tmp_path / "out"):
        pass
    assert list((tmp_path / "out").iterdir()) == []
